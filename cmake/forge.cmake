# One function per kind of thing. A room sees the folders of the rooms it names and no others, so that an include
# against the order in docs/architecture.md does not compile.

# forge_add_room(NAME [SOURCES ..] [ROOMS ..] [LIBS ..]): a room of the core, from core/NAME.
function(forge_add_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
  add_library(forge_${name} STATIC ${ARG_SOURCES})
  target_include_directories(forge_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(forge_${name} PRIVATE FORGE_BUILDING)
  set_target_properties(forge_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
  list(TRANSFORM ARG_ROOMS PREPEND forge_)
  target_link_libraries(forge_${name} PUBLIC forge::abi ${ARG_ROOMS} PRIVATE ${ARG_LIBS} forge::options)
  set_property(GLOBAL APPEND PROPERTY FORGE_ROOMS forge_${name})
endfunction()

# forge_add_plugin and forge_add_manifest are what outsiders use too.
set(FORGE_PLUGIN_LIBS forge::options)
include(${PROJECT_SOURCE_DIR}/sdk/cmake/forgePlugin.cmake)

# forge_add_test(NAME SOURCES .. [ROOMS ..] [LIBS ..] [ARGS ..] [LABELS ..] [TIMEOUT s]): a cmocka program linked against
# rooms; exit code 77 is a skip. FORGE_BACKEND_PATH names the plugins of this build.
function(forge_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;ROOMS;LIBS;ARGS;LABELS" ${ARGN})
  add_executable(test_${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_ROOMS PREPEND forge_)
  target_link_libraries(test_${name} PRIVATE forge::abi ${ARG_ROOMS} ${ARG_LIBS} forge::options PkgConfig::CMOCKA m)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(test_${name} PRIVATE FORGE_TEST_BUILD_DIR="${PROJECT_BINARY_DIR}"
    FORGE_TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND test_${name} ${ARG_ARGS})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "FORGE_BACKEND_PATH=${FORGE_PLUGIN_DIR}/backends.d;FORGE_TEST_DATA=${FORGE_TEST_DATA}")
endfunction()

# forge_add_sdk_test(NAME COMMAND .. [LABELS ..] [TIMEOUT s]): a script that uses an installed Forge as an outsider does, never
# this tree: $FORGE_PREFIX is an installation made once per run of ctest, $FORGE_TEST_CFLAGS are the flags that what is
# linked with a sanitized libforge.so needs. Exit code 77 is a skip.
function(forge_add_sdk_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "COMMAND;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set(environment FORGE_PREFIX=${PROJECT_BINARY_DIR}/sdk-install FORGE_TEST_DATA=${FORGE_TEST_DATA} CC=${CMAKE_C_COMPILER}
    FORGE_BACKEND_PATH= FORGE_TEST_CFLAGS=)
  if(FORGE_SANITIZE)
    string(APPEND environment -fsanitize=${FORGE_SANITIZE})
  endif()
  add_test(NAME ${name} COMMAND ${ARG_COMMAND})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 LABELS "sdk;${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    FIXTURES_REQUIRED sdk ENVIRONMENT "${environment}")
endfunction()

# forge_add_fuzzer(NAME SOURCES .. [ROOMS ..] [CORPUS dir]): a LLVMFuzzerTestOneInput target. With FORGE_FUZZ (clang) it is a
# libFuzzer program; always it is also a test that replays the seed corpus with deterministic mutations of it.
function(forge_add_fuzzer name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;ROOMS;LIBS" ${ARGN})
  list(TRANSFORM ARG_ROOMS PREPEND forge_)
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE forge::abi ${ARG_ROOMS} ${ARG_LIBS} forge::options)
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(FORGE_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${ARG_CORPUS})
    set_tests_properties(fuzz_${name} PROPERTIES SKIP_RETURN_CODE 77 LABELS fuzz TIMEOUT 600
      ENVIRONMENT "FORGE_TEST_DATA=${FORGE_TEST_DATA}")
  endif()
endfunction()
