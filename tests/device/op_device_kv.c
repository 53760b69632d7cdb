/*
 * op_device_kv.c: kv_read of what was written by hand, and what kv_write leaves, in every place
 * that keys and values may have.
 */
#include "kv_place.h"

#include <stdlib.h>
#include <string.h>

static void read_range(int act, struct place *p, int64_t first, int32_t n, bool value, bool wide,
                       bool head_major)
{
    int32_t dtype = device_act(act), n_heads = p->n_kv_heads, head_dim = p->head_dim;
    size_t count = (size_t)(n * n_heads * head_dim), bytes = count * (wide ? 4 : 2);
    void *out = device_alloc(bytes), *got = device_host(bytes);
    struct ppi_cuda_kv_read_args args = {.kv = p->kv,
                                         .out = out,
                                         .first_token = first,
                                         .n_tokens = n,
                                         .n_kv_heads = n_heads,
                                         .head_dim = head_dim,
                                         .out_type = wide       ? PPI_CUDA_F32
                                                     : act == 0 ? PPI_CUDA_BF16
                                                                : PPI_CUDA_F16,
                                         .head_major = head_major};
    if (value) {
        args.kv.k = p->kv.v;
        args.kv.k_page_stride = p->kv.v_page_stride;
        args.kv.k_token_stride = p->kv.v_token_stride;
        args.kv.k_head_stride = p->kv.v_head_stride;
    }
    device_launch(&ppi_cuda_kv_read[act], n, &args);
    device_download(got, out, bytes);
    for (int32_t t = 0; t < n; t++)
        for (int32_t h = 0; h < n_heads; h++) {
            const uint16_t *expected = image_at(p, value, first + t, h);
            size_t at = (size_t)((head_major ? h * n + t : t * n_heads + h) * head_dim);
            for (int32_t d = 0; d < head_dim; d++) {
                double want = device_value(dtype, expected, (size_t)d);
                double have = device_value(wide ? PP_DTYPE_F32 : dtype, got, at + (size_t)d);
                EXPECT(have == want, "token %d of %lld + %d, head %d, element %d: %g, expected %g",
                       t, (long long)first, n, h, d, have, want);
            }
        }
    device_free(out);
    free(got);
}

static void kv_read_ranges(void)
{
    struct rng rng = rng_seeded(15);
    for (size_t i = 0; i < COUNT(page_sizes) * N_MODES; i++) {
        struct shape shape = place_shapes[i % N_PLACE_SHAPES];
        int32_t n_slots = device_is_emulated() ? 37 : 2000;
        int act = (int)i % PPI_CUDA_N_ACT;
        struct place place = make_place(&rng, i % N_MODES, shape.n_kv_heads, shape.head_dim,
                                        page_sizes[i / N_MODES], n_slots);
        size_t n = (size_t)place.n_blocks * place.block_bytes / 2;
        void *values = device_random(&rng, device_act(act), n, 1);
        memcpy(place.image, values, 2 * n);
        for (int32_t b = 0; b < place.n_blocks; b++) { /* the same on the device */
            void *filled =
                device_upload(place.image + (size_t)b * place.block_bytes, place.block_bytes);
            int64_t row_bytes = (int64_t)place.block_bytes;
            int32_t zero = 0;
            void *rows = device_upload(&zero, sizeof zero);
            struct ppi_cuda_gather_args copy = {filled, rows, place.blocks[b], row_bytes, 1, 0};
            device_launch(ppi_cuda_gather, 1, &copy);
            device_free(rows);
            device_free(filled);
        }
        for (int variant = 0; variant < 8; variant++) {
            bool value = variant & 1, wide = variant & 2, head_major = variant & 4;
            int64_t first = variant < 2 ? 0 : rng_between(&rng, 0, n_slots - 1);
            int32_t length =
                (int32_t)(variant < 2 ? n_slots : rng_between(&rng, 1, n_slots - first));
            read_range(act, &place, first, length, value, wide, head_major);
        }
        free(values);
        free_place(&place);
    }
}

/* ---- kv_write ---- */

/* Writes random tokens and says so in the image. */
static void write_range(struct rng *rng, int act, struct place *p, int64_t first, int32_t n,
                        bool value, bool wide, bool head_major)
{
    int32_t dtype = device_act(act), n_heads = p->n_kv_heads, head_dim = p->head_dim;
    size_t count = (size_t)(n * n_heads * head_dim), bytes = count * (wide ? 4 : 2);
    void *values = device_random(rng, wide ? PP_DTYPE_F32 : dtype, count, 1);
    void *in = device_upload(values, bytes);
    struct ppi_cuda_kv_write_args args = {.kv = p->kv,
                                          .in = in,
                                          .first_token = first,
                                          .n_tokens = n,
                                          .n_kv_heads = n_heads,
                                          .head_dim = head_dim,
                                          .in_type = wide       ? PPI_CUDA_F32
                                                     : act == 0 ? PPI_CUDA_BF16
                                                                : PPI_CUDA_F16,
                                          .head_major = head_major};
    if (value) {
        args.kv.k = p->kv.v;
        args.kv.k_page_stride = p->kv.v_page_stride;
        args.kv.k_token_stride = p->kv.v_token_stride;
        args.kv.k_head_stride = p->kv.v_head_stride;
    }
    device_launch(&ppi_cuda_kv_write[act], n, &args);
    for (int32_t t = 0; t < n; t++)
        for (int32_t h = 0; h < n_heads; h++) {
            uint16_t *to = image_at(p, value, first + t, h);
            size_t at = (size_t)((head_major ? h * n + t : t * n_heads + h) * head_dim);
            for (int32_t d = 0; d < head_dim; d++) {
                float x = (float)device_value(wide ? PP_DTYPE_F32 : dtype, values, at + (size_t)d);
                to[d] = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(x) : ppi_f32_to_f16(x);
            }
        }
    device_free(in);
    free(values);
}

/* Every byte of the place is as the image says: what was not named has stayed as it was. */
static void expect_place(struct place *p)
{
    size_t n = (size_t)p->n_blocks * p->block_bytes;
    char *expected = device_host(n);
    memcpy(expected, p->image, n);
    download_place(p);
    for (size_t i = 0; i < n; i++)
        EXPECT(p->image[i] == expected[i], "byte %zu of keys and values is 0x%02x, expected 0x%02x",
               i, (unsigned char)p->image[i], (unsigned char)expected[i]);
    free(expected);
}

static void kv_write_ranges(void)
{
    struct rng rng = rng_seeded(16);
    for (size_t i = 0; i < COUNT(page_sizes) * N_MODES; i++) {
        struct shape shape = place_shapes[i % N_PLACE_SHAPES];
        int32_t n_slots = device_is_emulated() ? 37 : 2000;
        int act = (int)i % PPI_CUDA_N_ACT;
        struct place place = make_place(&rng, i % N_MODES, shape.n_kv_heads, shape.head_dim,
                                        page_sizes[i / N_MODES], n_slots);
        for (int variant = 0; variant < 8; variant++) {
            int64_t first = variant < 2 ? 0 : rng_between(&rng, 0, n_slots - 1);
            int32_t length =
                (int32_t)(variant < 2 ? n_slots / 2 : rng_between(&rng, 1, n_slots - first));
            write_range(&rng, act, &place, first, length, variant & 1, variant & 2, variant & 4);
        }
        expect_place(&place);
        free_place(&place);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"kv_read_ranges", kv_read_ranges},
        {"kv_write_ranges", kv_write_ranges},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
