/* params.h -- the weights of a run and their two AdamW moments on the device: three buffers laid
 * out alike. */
#ifndef FORGE_TRAIN_PARAMS_H
#define FORGE_TRAIN_PARAMS_H

#include <forge/state.h>

#include "arch.h"
#include "train_settings.h"

enum { PARAMS_P, PARAMS_M, PARAMS_V, PARAMS_KINDS };

typedef struct train_params {
  forge_model_config config;
  arch_param *param; /* [n] in canonical order */
  uint64_t *offset;  /* [n] bytes into each buffer */
  uint32_t n;
  uint64_t bytes, elements;
  forge_buffer *buffer[PARAMS_KINDS];
} train_params;

/* The shape: that of |weights|, or what the settings say. */
forge_status train_params_shape(const train_settings *s, const forge_model *weights,
                                uint32_t n_vocab, forge_model_config *out);
/* Reserves the buffers; contents undefined. */
forge_status train_params_create(forge_device *device, const forge_model_config *config,
                                 train_params *out);
void train_params_destroy(train_params *p);

/* "p/NAME", "m/NAME", "v/NAME": what programs and checkpoints call them. */
enum { PARAMS_NAME = 72 };
const char *train_params_name(const train_params *p, uint32_t kind, uint32_t i,
                              char out[PARAMS_NAME]);
uint64_t train_params_elements(const arch_param *param);

/* Weights from the generator, keyed by (seed, number of the parameter, element), moments zero. */
forge_status train_params_init(train_params *p, forge_device *device, uint64_t seed);
/* Weights from a model of the same shape, moments zero. */
forge_status train_params_load(train_params *p, forge_device *device, const forge_model *weights);

forge_status train_params_save(const train_params *p, forge_checkpoint *checkpoint);
forge_status train_params_restore(train_params *p, forge_restore *restore);

/* Writes the weights as a model file or folder. */
forge_status train_params_export(const train_params *p, const forge_tokenizer *tokenizer,
                                 const char *path);

#endif
