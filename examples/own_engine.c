/*
 * own_engine.c: packed arrays for a host that has its own engine. Four prompts become one padded
 * batch of two rows, with positions, sequence starts, the rows of the last tokens and the mask that
 * keeps the prompts apart.
 */
#include <prepack/prepack.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_batch(const pp_batch_view *view, const unsigned char *mask)
{
    for (int64_t row = 0; row < view->n_rows; row++) {
        printf("row %" PRId64 "\n  tokens   ", row);
        for (int64_t i = 0; i < view->row_len; i++)
            printf(" %3d", view->tokens[row * view->row_len + i]);
        printf("\n  positions");
        for (int64_t i = 0; i < view->row_len; i++)
            printf(" %3d", view->positions[row * view->row_len + i]);
        printf("\n  mask (query downwards, key to the right)\n");
        for (int64_t i = 0; i < view->row_len; i++) {
            printf("           ");
            for (int64_t j = 0; j < view->row_len; j++)
                printf("   %c", mask[(row * view->row_len + i) * view->row_len + j] ? '1' : '.');
            printf("\n");
        }
    }
    for (int64_t i = 0; i < view->n_prompts; i++)
        printf("prompt %d: %d tokens, logits at index %" PRId64 "\n", view->prompts[i],
               view->cu_seqlens[i + 1] - view->cu_seqlens[i], view->last_rows[i]);
}

int main(void)
{
    const int32_t tokens[] = {11, 12, 13, 14, 21, 22, 31, 32, 33, 34, 35, 41, 42, 43};
    const pp_prompt prompts[] = {{tokens, 4}, {tokens + 4, 2}, {tokens + 6, 5}, {tokens + 11, 3}};
    const int64_t lengths[] = {4, 2, 5, 3};
    pp_error err = {.struct_size = sizeof err};
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_batch *batch = NULL;
    unsigned char *mask = NULL;
    size_t mask_bytes = 0;
    int exit_status = 1;

    pp_packer_params limits;
    pp_packer_params_init(&limits, sizeof limits);
    limits.capacity = 8; /* tokens a row of the engine holds */
    pp_batch_params layout;
    pp_batch_params_init(&layout, sizeof layout);
    layout.layout = PP_LAYOUT_PADDED; /* PP_LAYOUT_RAGGED for engines that take cu_seqlens */

    if (pp_packer_create(&limits, &packer, &err) < 0 ||
        pp_packer_plan(packer, lengths, 4, &plan, &err) < 0 ||
        pp_batch_build(plan, prompts, 4, &layout, &batch, &err) < 0 ||
        pp_batch_mask_bytes(batch, PP_DTYPE_BOOL, &mask_bytes, &err) < 0)
        goto done;
    mask = malloc(mask_bytes);
    if (!mask || pp_batch_mask(batch, PP_DTYPE_BOOL, -1, mask, mask_bytes, &err) < 0)
        goto done;
    pp_batch_view view = {.struct_size = sizeof view};
    pp_batch_get_view(batch, &view, NULL);
    print_batch(&view, mask); /* here an engine would run its forward pass */
    exit_status = 0;
done:
    if (exit_status)
        fprintf(stderr, "own_engine: %s\n", err.code < 0 ? err.message : "out of memory");
    free(mask);
    pp_batch_destroy(batch);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    return exit_status;
}
