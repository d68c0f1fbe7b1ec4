/* generate.c -- a text's way through both phases, each passed once. See forge/infer.h. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "handover.h"
#include "stream.h"

struct forge_generator {
  forge_model *model;
  forge_tokenizer *tokenizer; /* borrowed from the model */
  forge_tokenizer_info info;
  forge_prefill *prefill; /* NULL: the token phase's device reads the prompt */
  forge_decode *decode;
};

/* One call of forge_generate(). */
typedef struct job {
  forge_generator *g;
  forge_generate_options o;
  forge_request request;
  forge_generate_result r;
  stream out;
  int32_t *ids; /* the prompt */
  uint64_t n, deadline;
  int32_t previous, next; /* last token of the text; the one to come */
} job;

static forge_status create_phases(forge_generator *g, forge_device *prefill_on,
                                  forge_device *decode_on, const forge_phase_options *options) {
  g->info.size = sizeof g->info;
  TRY(forge_model_tokenizer(g->model, &g->tokenizer));
  TRY(forge_tokenizer_describe(g->tokenizer, &g->info));
  TRY(forge_decode_create(g->model, decode_on, options, &g->decode));
  if (prefill_on == decode_on) return phase_need(g->decode->phase, PHASE_CHUNK);
  return forge_prefill_create(g->model, prefill_on, options, &g->prefill);
}

forge_status forge_generator_create(forge_model *model, forge_device *prefill_on,
                                    forge_device *decode_on, const forge_phase_options *options,
                                    forge_generator **out_generator) {
  if (!model || !prefill_on || !decode_on)
    return FAIL(FORGE_E_INVALID, "a generator needs a model and two devices (or one twice)");
  forge_generator *g = mem_zalloc(sizeof *g);
  if (!g) return FAIL(FORGE_E_OOM, "generator");
  g->model = model;
  const forge_status st = create_phases(g, prefill_on, decode_on, options);
  if (st)
    forge_generator_destroy(g);
  else
    *out_generator = g;
  return st;
}

void forge_generator_destroy(forge_generator *generator) {
  if (!generator) return;
  forge_prefill_destroy(generator->prefill);
  forge_decode_destroy(generator->decode);
  mem_free(generator);
}

/* A prompt of no tokens begins with what begins any text. */
static forge_status begin_empty(job *j) {
  const forge_tokenizer_info *info = &j->g->info;
  const int32_t id = info->bos >= 0 ? info->bos : info->eos;
  if (id < 0)
    return FAIL(FORGE_E_INVALID, "the prompt is empty and the tokenizer has no token that begins "
                                 "a text; give a prompt");
  j->ids[0] = id;
  j->n = 1;
  return FORGE_OK;
}

static forge_status encode(job *j, const char *prompt, uint64_t bytes) {
  const uint32_t flags =
      FORGE_ENCODE_AUTO | (j->o.flags & FORGE_GENERATE_SPECIAL ? FORGE_ENCODE_SPECIAL : 0u);
  const forge_tokenizer *t = j->g->tokenizer;
  forge_status st = forge_tokenizer_encode(t, prompt, bytes, flags, NULL, 0, &j->n);
  if (st && st != FORGE_E_INVALID) return st;
  if (!(j->ids = mem_zalloc_array(j->n + 1, sizeof *j->ids)))
    return FAIL(FORGE_E_OOM, "prompt of %llu tokens", (unsigned long long)j->n);
  if (j->n) TRY(forge_tokenizer_encode(t, prompt, bytes, flags, j->ids, j->n, &j->n));
  /* A token that ends texts is added for training, not in front of a continuation. */
  if (j->g->info.add_eos && j->n && j->ids[j->n - 1] == j->g->info.eos) j->n--;
  return j->n ? FORGE_OK : begin_empty(j);
}

static forge_status check_deadline(const job *j) {
  if (!j->deadline || time_now_ns() < j->deadline) return FORGE_OK;
  return FAIL(FORGE_E_TIMEOUT, "deadline reached after %llu new tokens",
              (unsigned long long)j->r.new_tokens);
}

/* Reads the prompt where the tokens will be made. */
static forge_status prompt_here(job *j) {
  const uint64_t start = time_now_ns();
  TRY(decode_prompt(j->g->decode, j->ids, j->n, j->deadline));
  TRY(forge_decode_sample(j->g->decode, j->o.sampling, 0, &j->next));
  j->r.prefill_ns += time_now_ns() - start;
  return FORGE_OK;
}

/* Sends the capsule on its way and takes in what arrived. */
static forge_status carry(job *j, forge_capsule **capsule) {
  forge_capsule *arrived = NULL;
  forge_capsule_info info = {.size = sizeof info};
  j->r.capsule_bytes = forge_capsule_bytes(*capsule);
  if (j->o.carry) {
    TRY(j->o.carry(j->o.ctx, forge_capsule_data(*capsule), forge_capsule_bytes(*capsule),
                   &arrived));
    forge_capsule_destroy(*capsule);
    *capsule = arrived;
  }
  if (!*capsule) return FAIL(FORGE_E_NOT_FOUND, "no capsule arrived");
  TRY(forge_decode_import(j->g->decode, *capsule, j->ids, j->n, &j->request));
  TRY(forge_capsule_describe(*capsule, &info));
  j->next = info.first_token;
  return FORGE_OK;
}

/* What goes wrong between the phases costs time, never a token: the prompt is read again here. */
static forge_status recompute(job *j) {
  snprintf(j->r.refusal, sizeof j->r.refusal, "%s", forge_error_last()->msg);
  log_line(FORGE_LOG_WARN,
           "capsule refused (%s); the prompt is read again on the token phase's device",
           j->r.refusal);
  j->r.recomputed = 1;
  return prompt_here(j);
}

static forge_status prompt_split(job *j) {
  phase *p = j->g->prefill->phase;
  forge_capsule *capsule = NULL;
  int32_t first;
  const uint64_t start = time_now_ns();
  TRY(phase_prompt(p, j->ids, j->n, j->deadline));
  TRY(phase_sample(p, j->o.sampling, 0, &first));
  const uint64_t read = time_now_ns();
  j->r.prefill_ns = read - start;
  forge_status st = handover_seal(p, j->ids, &j->request, 1, first, &capsule);
  if (!st) st = carry(j, &capsule);
  forge_capsule_destroy(capsule);
  j->r.handover_ns = time_now_ns() - read;
  return st ? recompute(j) : FORGE_OK;
}

static bool ends_text(const job *j, int32_t id) {
  if (j->o.flags & FORGE_GENERATE_IGNORE_END) return false;
  return id == j->g->info.eos || id == j->g->info.bos;
}

static forge_status put_token(job *j, int32_t id) {
  char small[256], *bytes = small;
  const forge_tokenizer *t = j->g->tokenizer;
  uint64_t n = 0;
  forge_status st = forge_tokenizer_decode(t, j->previous, &id, 1, 0, small, sizeof small, &n);
  if (st == FORGE_E_INVALID && n > sizeof small) {
    if (!(bytes = mem_alloc(n))) return FAIL(FORGE_E_OOM, "text of a token");
    st = forge_tokenizer_decode(t, j->previous, &id, 1, 0, bytes, n, &n);
  }
  if (!st) st = stream_add(&j->out, bytes, n);
  if (bytes != small) mem_free(bytes);
  j->previous = id;
  j->r.new_tokens++;
  return st;
}

/* Why the text ends here, 0: it does not. */
static uint32_t stop_reason(const job *j) {
  if (j->out.stopped) return FORGE_STOP_TEXT;
  if (j->out.refused) return FORGE_STOP_CALLER;
  if (j->r.new_tokens >= j->o.max_tokens) return FORGE_STOP_LENGTH;
  const phase *p = j->g->decode->phase;
  return p->position >= p->options.n_ctx ? FORGE_STOP_CONTEXT : 0;
}

static forge_status make_tokens(job *j) {
  for (;;) {
    if (ends_text(j, j->next)) {
      j->r.stop = FORGE_STOP_END;
      return FORGE_OK;
    }
    TRY(put_token(j, j->next));
    if ((j->r.stop = stop_reason(j))) return FORGE_OK;
    TRY(check_deadline(j));
    TRY(forge_decode_step(j->g->decode, j->next, NULL));
    TRY(forge_decode_sample(j->g->decode, j->o.sampling, j->r.new_tokens, &j->next));
  }
}

static forge_status run_job(job *j, const char *prompt, uint64_t bytes) {
  TRY(encode(j, prompt, bytes));
  j->r.prompt_tokens = j->n;
  j->previous = j->ids[j->n - 1];
  TRY(j->g->prefill ? prompt_split(j) : prompt_here(j));
  if (!j->o.max_tokens) {
    j->r.stop = FORGE_STOP_LENGTH;
    return FORGE_OK;
  }
  const uint64_t start = time_now_ns();
  const forge_status st = make_tokens(j);
  stream_end(&j->out);
  j->r.decode_ns = time_now_ns() - start;
  return st;
}

static forge_status start_job(job *j, const forge_generate_options *options) {
  TRY(sized_in(&j->o, sizeof j->o, options, "generate options"));
  if (j->o.deadline_ns) j->deadline = time_now_ns() + j->o.deadline_ns;
  j->out = (stream){
      .stops = j->o.stops, .n_stops = j->o.n_stops, .on_text = j->o.on_text, .ctx = j->o.ctx};
  j->request = (forge_request){.size = sizeof j->request, .sampling = j->o.sampling, .epoch = 1};
  if (getrandom(j->request.id, sizeof j->request.id, 0) != sizeof j->request.id)
    return base_fail_errno(FORGE_E_IO, "a random request id");
  return FORGE_OK;
}

forge_status forge_generate(forge_generator *generator, const char *prompt, uint64_t bytes,
                            const forge_generate_options *options, forge_generate_result *result) {
  job j = {.g = generator};
  forge_status st = start_job(&j, options);
  if (!st) st = run_job(&j, prompt ? prompt : "", prompt ? bytes : 0);
  mem_free(j.ids);
  stream_finish(&j.out);
  const forge_status reported =
      result ? sized_out(result, &j.r, sizeof j.r, "generate result") : FORGE_OK;
  return st ? st : reported;
}
