#!/bin/sh
# defects.sh CC FORGE ABI: one library per thing `forge lint` looks for, built here, and what it says to each. A line of
# defect() is: name, exit code, words of the answer, flags of the compiler; the source is on standard input.
set -u
cc=$1 forge=$2 abi=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0
fail() { echo "FAILED: $*"; bad=1; }
built="-std=gnu11 -g -I$abi -fPIC -fvisibility=hidden -shared"
symbolic=-Wl,-Bsymbolic

cat >entry.h <<'SOURCE'
#include <forge/backend.h>
FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello, forge_reply *reply) {
  (void)hello, (void)reply;
  return FORGE_OK;
}
SOURCE
expect() { # CODE WORDS ARGS..: what forge lint ARGS ends with and says
  code=$1 words=$2
  shift 2
  "$forge" lint "$@" >out 2>&1
  got=$?
  [ $got = "$code" ] || { fail "lint $* ended with $got, not $code:"; cat out; }
  grep -qE -- "$words" out || { fail "lint $*: '$words' is not in:"; cat out; }
}
build() { # NAME FLAGS..: standard input behind the entry becomes NAME.so
  name=$1
  shift
  { echo '#include "entry.h"'; cat; } >"$name.c"
  # shellcheck disable=SC2086
  $cc $built $symbolic "$name.c" -o "$name.so" "$@" 2>cc.err || { fail "$name does not build"; cat cc.err; }
}
defect() {
  name=$1 code=$2 words=$3
  shift 3
  build "$name" "$@"
  expect "$code" "$words" "$name.so"
}

# ---- sound ones ----
defect sound 0 "^backend: 0 failed, 0 warnings" </dev/null
! grep -qE "^  (note|warn|fail)" out || { fail "a sound plugin is not told so"; cat out; }
expect 0 '"verdict": "clean"' --json sound.so
{ echo '#define forge_backend_entry_v1 forge_layer_entry_v1'; cat entry.h; } >layer.c
# shellcheck disable=SC2086
$cc $built layer.c -o layer.so || fail "layer does not build"
expect 0 "^layer: 0 failed" layer.so
build origin -Wl,-rpath,'$ORIGIN/vendor' </dev/null
expect 0 "ok +FB-X9" origin.so

# ---- what it shows ----
defect no-entry 1 "FB-X1 .*no Forge plugin" -Dforge_backend_entry_v1=forge_backend_query </dev/null
defect other-major 1 "FB-X1 .*exports forge_backend_entry_v2: made for another ABI major" \
  -Dforge_backend_entry_v1=forge_backend_entry_v2 </dev/null
defect both-entries 1 "FB-X1 .*exports both" <<'SOURCE'
FORGE_BACKEND_ENTRY void forge_layer_entry_v1(void);
void forge_layer_entry_v1(void) {}
SOURCE
defect variable 1 "define it as a function" -Dforge_backend_entry_v1=another <<'SOURCE'
#undef forge_backend_entry_v1
FORGE_BACKEND_ENTRY int forge_backend_entry_v1 = 1;
SOURCE
defect exports 1 "fail +FB-X2 .*exports (helper, table|table, helper)$" <<'SOURCE'
FORGE_BACKEND_ENTRY void helper(void);
void helper(void) {}
FORGE_BACKEND_ENTRY extern int table;
int table = 1;
SOURCE
grep -q "fvisibility=hidden" out || fail "the remedy for exports is not told"
defect unique 1 "fail +FB-X3 .*STB_GNU_UNIQUE.*once" <<'SOURCE'
__asm__(".data\n.globl once\n.type once, %gnu_unique_object\n.size once, 4\nonce: .long 0\n.text");
SOURCE
symbolic=
defect interposable 1 "fail +FB-X4 .*its own helper" <<'SOURCE'
FORGE_BACKEND_ENTRY void helper(void);
__attribute__((noinline)) void helper(void) { __asm__ volatile(""); }
FORGE_BACKEND_ENTRY void other(void);
void other(void) { helper(); }
SOURCE
symbolic=-Wl,-Bsymbolic

# ---- what happens when it is loaded ----
defect static-tls 1 "fail +FB-X5 .*DF_STATIC_TLS" <<'SOURCE'
static _Thread_local __attribute__((tls_model("initial-exec"))) volatile int here;
FORGE_BACKEND_ENTRY int get(void);
int get(void) { return here; }
SOURCE
defect text-relocations 1 "fail +FB-X6 .*DT_TEXTREL" -Wl,-z,notext <<'SOURCE'
static int there;
__asm__(".text\n.balign 8\n.quad there\n");
int *keep(void) { return &there; }
SOURCE
defect executable-stack 1 "fail +FB-X7 .*stack executable" -Wl,-z,execstack </dev/null
defect constructor 1 "fail +FB-X11 .*run when it is loaded: open_devices" <<'SOURCE'
__attribute__((constructor)) static void open_devices(void) { __asm__ volatile(""); }
SOURCE
strip constructor.so -o stripped.so
expect 0 "warn +FB-X11 .*1 function without a name runs when it is loaded" stripped.so
defect destructor 1 "FB-X11 .*run when it is unloaded or the process ends: close_devices" <<'SOURCE'
__attribute__((destructor)) static void close_devices(void) { __asm__ volatile(""); }
SOURCE
defect init 1 "FB-X11 .*DT_INIT" -Wl,-init,first <<'SOURCE'
void first(void) {}
SOURCE

# ---- what it needs ----
echo 'int vendor(void) { return 1; }' >vendor.c
echo '#include "entry.h"
int vendor(void);
FORGE_BACKEND_ENTRY int use(void);
int use(void) { return vendor(); }' >needs.c
needs() { # SONAME CODE WORDS
  # shellcheck disable=SC2086
  { $cc -shared -fPIC vendor.c -o libv.so -Wl,-soname,"$1" && $cc $built needs.c -o needs.so -L. -lv; } ||
    fail "needs of $1 does not build"
  expect "$2" "$3" needs.so
}
needs libvendor.so.2 1 "fail +FB-X8 .*needs libvendor.so.2"
grep -q "dlopen() it in probe" out || fail "the remedy for libraries is not told"
expect 1 "ok +FB-X8" --allow-needed libvendor.so.2 needs.so # FB-X2 is left
needs libforge.so.1 1 "fail +FB-X8 .*linked against the core"
needs libstdc++.so.6 1 "static-libstdc\+\+"
defect rpath 1 "fail +FB-X9 .*'/opt/vendor/lib' \(DT_R" -Wl,-rpath,'$ORIGIN:/opt/vendor/lib' </dev/null
defect rpath-here 1 "FB-X9 .*current folder" -Wl,-rpath,'$ORIGIN::' </dev/null
echo 'char *p; void *memcpy(void *, const void *, unsigned long); void copy(unsigned long n) { memcpy(p, p + 9, n); }' |
  { build glibc -fno-builtin; }
expect 0 "runs with glibc 2\.[0-9]+ and later" glibc.so
expect 1 "fail +FB-X10 .*needs glibc 2\.[0-9]+ \(memcpy\)|fail +FB-X10 .*needs glibc" --glibc 2.0 glibc.so

# ---- what it calls ----
call() { # NAME CODE WORDS CALL
  name=$1 code=$2 words=$3
  build "$name" <<SOURCE
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
int x;
jmp_buf j;
void use(void) { $4; }
SOURCE
  expect "$code" "$words" "$name.so"
}
call exits 1 "fail +FB-X12 .*calls exit\(\), which ends the whole process" "exit(1)"
call aborts 0 "warn +FB-X12 .*calls abort\(\)" "abort()"
call asserts 0 "warn +FB-X12 .*__assert_fail" "assert(x)"
call jumps 0 "warn +FB-X12 .*longjmp" "longjmp(j, 1)"
call at-exit 0 "warn +FB-X13 .*atexit\(\)" "atexit(use)"
call handler 0 "warn +FB-X13 .*signal\(\)" "signal(SIGSEGV, SIG_IGN)"
call environment 0 "warn +FB-X13 .*setenv\(\)" 'setenv("A", "b", 1)'
defect throws 1 "fail +FB-X14 .*__cxa_throw, so it throws" <<'SOURCE'
void __cxa_throw(void *, void *, void *);
FORGE_BACKEND_ENTRY void use(void);
void use(void) { __cxa_throw(0, 0, 0); }
SOURCE
defect sanitizer 0 "note +FB-X17 .*sanitizer" <<'SOURCE'
void __asan_init(void);
void use(void) { __asan_init(); }
SOURCE

# ---- C++, as it comes and as it should be ----
cat >cplusplus.cc <<'SOURCE'
#include <forge/backend.h>
#include <map>
#include <string>
static std::string &name(int key) {
  static std::map<int, std::string> names;
  return names[key];
}
FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *, forge_reply *reply) {
  try {
    reply->name = name(1).c_str();
  } catch (...) {
    return FORGE_E_OOM;
  }
  return FORGE_OK;
}
SOURCE
echo '{ global: forge_*_entry_v1; local: *; };' >script
if command -v "${CXX:-c++}" >/dev/null; then
  ${CXX:-c++} -g -I"$abi" -fPIC -shared cplusplus.cc -o careless.so || fail "careless does not build"
  expect 1 "FB-X14 .*symbols of C\+\+" careless.so
  grep -q "FB-X3 .*STB_GNU_UNIQUE" out || fail "unique symbols of C++ are not told"
  ${CXX:-c++} -g -I"$abi" -fPIC -shared -fvisibility=hidden -fno-gnu-unique -static-libstdc++ -static-libgcc \
    -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -Wl,--version-script=script cplusplus.cc -o careful.so || fail "careful does not build"
  expect 0 "^backend: 0 failed" careful.so
fi

# ---- for whom ----
strip sound.so -o sound-stripped.so
expect 0 "note +FB-X16 .*without debug information" sound-stripped.so
cp sound.so foreign.so
printf '\127\001' | dd of=foreign.so bs=1 seek=18 conv=notrunc 2>/dev/null # some e_machine nobody has
expect 0 "warn +FB-X15 .*built for machine 343" foreign.so

# ---- no plugin at all ----
echo 'int main(void) { return 0; }' >program.c
$cc program.c -o program || fail "program does not build"
expect 2 "it is a program, no library" program
$cc -c program.c -o object.o || fail "object does not build"
expect 2 "object file \(.o\)" object.o
ar rc archive.a object.o
expect 2 "archive \(.a\)" archive.a
: >empty.so && expect 2 "it is empty" empty.so
echo "a text that calls itself a library" >text.so && expect 2 "it is a text" text.so
printf 'library = x.so\n' >manifest.ini && expect 2 "a manifest: lint the file" manifest.ini
mkdir folder.so && expect 2 "it is a folder" folder.so
expect 2 "No such file" missing.so
head -c 1000 sound.so >cut.so && expect 2 "cut short" cut.so
head -c 40 sound.so >cut-header.so && expect 2 "ELF header makes no sense" cut-header.so
head -c 64 /dev/zero >zeros.so && expect 2 "no ELF header" zeros.so
cp sound.so bare.so
head -c 8 /dev/zero | dd of=bare.so bs=1 seek=40 conv=notrunc 2>/dev/null # e_shoff
head -c 4 /dev/zero | dd of=bare.so bs=1 seek=60 conv=notrunc 2>/dev/null # e_shnum, e_shstrndx
expect 2 "section headers were removed" bare.so
libc=$(ldd program | sed -n 's/.*=> \(.*libc\.so[^ ]*\).*/\1/p')
[ -z "$libc" ] || expect 1 "a library, but no Forge plugin" "$libc"
expect 2 "'new' is no version" --glibc new sound.so
if command -v python3 >/dev/null; then
  for file in sound.so exports.so text.so; do
    "$forge" lint --json $file 2>/dev/null | python3 -m json.tool >/dev/null || fail "lint --json $file is no JSON"
  done
fi

# ---- the rules themselves ----
tools=$abi/../tools rules=$abi/../sdk/conformance/rules.def
for id in $(grep -ohE 'FB-X[0-9]+' "$tools"/lint_*.c | sort -u); do
  grep -q "RULE($(echo "$id" | tr - _), \"lint\"" "$rules" || fail "$id is not in $rules"
done
[ $bad = 0 ] && echo "each defect is named"
exit $bad
