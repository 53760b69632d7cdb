/*
 * stored_forms.h: forms in which files have weights: of experts, linear layers, gated attention.
 */
#ifndef TEST_STORED_FORMS_H
#define TEST_STORED_FORMS_H

#include "stored_world.h"

#define PLACE "model.layers.0." /* of the layer's tensors */

struct form {
    const char *name;
    const struct ppi_tensor_rule *rules;
    void (*size)(struct stored_world *world);
    void (*write)(struct stored_world *world);
    bool blocks;                 /* matrices are MXFP4 */
    const char *tensor, *wanted; /* one of its tensors, and what is said where its last dimension is
                                    one longer */
};

/* The first N_SMALL_FORMS have a tensor to spoil; the others have many rows, or long ones. */
#define N_SMALL_FORMS 8
#define N_FORMS       12
extern const struct form FORMS[N_FORMS];

enum { SINGLE_FORM, BLOCKS_FORM = 4, HALVES_FORM };

extern const struct form NONE;         /* nothing of the layer is stored */
extern const struct form NOT_A_NUMBER; /* a scale of MXFP4 is NaN */

/* A world with a file in that form, which is yet to be opened. */
void form_begin(const struct form *form, int32_t dtype, struct stored_world *world);

/* The number of MXFP4 at a place of a matrix. */
float block_value(int64_t row, int64_t col);

#endif
