/*
 * plan_batches.c: the batches of an instance's plan, in both layouts, and their masks.
 */
#include "plan_instance.h"

static const char *check_view(const struct instance *instance, const pp_plan *plan,
                              const pp_plan_info *info, const pp_batch *batch, int32_t layout,
                              char reason[REASON_BYTES])
{
    pp_batch_view view = {.struct_size = sizeof view};
    pp_batch_get_view(batch, &view, NULL);
    int64_t i_out = 0, n_real = 0;
    static int32_t owner[1 << 16]; /* of each place; -1: a pad */
    int64_t n_places = view.n_rows * view.row_len;
    if (n_places > 1 << 16)
        return NULL;
    memset(owner, 0xff, sizeof owner);
    for (int64_t bin = 0; bin < info->n_bins; bin++) {
        pp_bin_info found = {.struct_size = sizeof found};
        pp_plan_get_bin_info(plan, bin, &found, NULL);
        for (int64_t i = 0; i < found.n_segments; i++, i_out++) {
            pp_segment segment;
            pp_plan_get_segment(plan, found.first_segment + i, &segment, NULL);
            int64_t start =
                layout == PP_LAYOUT_RAGGED ? n_real : bin * view.row_len + segment.start;
            if (view.prompts[i_out] != segment.prompt || view.starts[i_out] != start ||
                view.last_rows[i_out] != start + segment.n_tokens - 1 ||
                view.cu_seqlens[i_out + 1] - view.cu_seqlens[i_out] != segment.n_tokens)
                WRONG("layout %d: prompt %d is at %lld, not at %lld", layout, segment.prompt,
                      (long long)view.starts[i_out], (long long)start);
            for (int64_t j = 0; j < segment.n_tokens; j++) {
                owner[start + j] = segment.prompt;
                if (view.tokens[start + j] != instance_token(instance, segment.prompt, j) ||
                    view.positions[start + j] != j)
                    WRONG("layout %d: token %lld of prompt %d is wrong", layout, (long long)j,
                          segment.prompt);
            }
            n_real += segment.n_tokens;
        }
        if (layout == PP_LAYOUT_PADDED && found.used > view.row_len)
            WRONG("bin %lld uses %lld tokens, its row has %lld", (long long)bin,
                  (long long)found.used, (long long)view.row_len);
    }
    for (int64_t i = 0; i < n_places; i++)
        if (owner[i] < 0 && (view.tokens[i] != -7 || view.positions[i] != 0))
            WRONG("layout %d: place %lld is no pad", layout, (long long)i);
    size_t bytes = 0;
    pp_batch_mask_bytes(batch, PP_DTYPE_BOOL, &bytes, NULL);
    static unsigned char mask[1 << 18];
    if (bytes > sizeof mask)
        return NULL;
    if (pp_batch_mask(batch, PP_DTYPE_BOOL, -1, mask, bytes, NULL) < 0)
        WRONG("no mask");
    for (int64_t i = 0; i < n_places; i++)
        for (int64_t j = 0; j < view.row_len; j++) {
            int64_t key = i / view.row_len * view.row_len + j;
            bool sees = key == i || (key < i && owner[i] >= 0 && owner[key] == owner[i]);
            if (mask[i * view.row_len + j] != sees)
                WRONG("layout %d: the mask of place %lld is wrong at %lld", layout, (long long)i,
                      (long long)j);
        }
    return NULL;
}

const char *instance_check_batches(const struct instance *instance, const pp_plan *plan,
                                   const pp_plan_info *info, char reason[REASON_BYTES])
{
    static struct prompts prompts;
    instance_fill_prompts(instance, &prompts);
    for (int32_t layout = PP_LAYOUT_RAGGED; layout <= PP_LAYOUT_PADDED; layout++) {
        pp_batch_params params;
        pp_batch_params_init(&params, sizeof params);
        params.layout = layout;
        params.pad_token = -7;
        pp_batch *batch = NULL;
        pp_error err = {.struct_size = sizeof err};
        pp_status status =
            pp_batch_build(plan, prompts.prompts, (size_t)instance->n, &params, &batch, &err);
        if (status == PP_ERR_UNSUPPORTED && is_split(instance))
            return NULL;
        if (status < 0)
            WRONG("no batch: %s", err.message);
        const char *wrong = check_view(instance, plan, info, batch, layout, reason);
        pp_batch_destroy(batch);
        if (wrong)
            return wrong;
    }
    return NULL;
}
