/*
 * layout.c: the layout of every public struct and the value of every public constant, as the ABI
 * promises them. A line that must change here is a change that breaks programs.
 */
#include <prepack/prepack.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed its size")
#define AT(type, field, offset)                                                                    \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define VALUE(name, value) _Static_assert((name) == (value), #name " changed its value")

SIZE(pp_error, 512);
AT(pp_error, code, 4);
AT(pp_error, native_code, 8);
AT(pp_error, index, 16);
AT(pp_error, message, 24);
SIZE(pp_allocator, 32);
AT(pp_allocator, user, 8);
AT(pp_allocator, allocate, 16);
AT(pp_allocator, release, 24);
SIZE(pp_prompt, 16);
AT(pp_prompt, n_tokens, 8);
SIZE(pp_packer_params, 200);
AT(pp_packer_params, policy, 4);
AT(pp_packer_params, capacity, 8);
AT(pp_packer_params, allocator, 16);
AT(pp_packer_params, objective, 24);
AT(pp_packer_params, max_prompts, 48);
AT(pp_packer_params, capacities, 80);
AT(pp_packer_params, max_steps, 104);
AT(pp_packer_params, max_age, 128);
SIZE(pp_plan_info, 264);
AT(pp_plan_info, n_bins, 16);
AT(pp_plan_info, lower_bound, 48);
AT(pp_plan_info, waste, 64);
AT(pp_plan_info, seconds, 80);
AT(pp_plan_info, bound_lp, 144);
AT(pp_plan_info, cost_bound, 184);
AT(pp_plan_info, limit_reached, 192);
SIZE(pp_plan_input, 80);
AT(pp_plan_input, apart, 40);
SIZE(pp_bin_info, 88);
AT(pp_bin_info, cost, 48);
SIZE(pp_segment, 40);
AT(pp_segment, after, 32);
SIZE(pp_cost_model, 232);
AT(pp_cost_model, tile, 40);
AT(pp_cost_model, device, 56);
SIZE(pp_batch_params, 88);
AT(pp_batch_params, row_len, 24);
AT(pp_batch_params, pad_token, 32);
SIZE(pp_batch_view, 96);
AT(pp_batch_view, tokens, 48);
AT(pp_batch_view, prompts, 88);
SIZE(pp_model_config, 160);
AT(pp_model_config, n_layers, 20);
AT(pp_model_config, rms_norm_eps, 56);
AT(pp_model_config, eos_token, 104);
SIZE(pp_model_params, 80);
SIZE(pp_device_allocator, 32);
AT(pp_device_allocator, allocate, 16);
SIZE(pp_sample_params, 48);
AT(pp_sample_params, temperature, 4);
AT(pp_sample_params, seeds, 8);
SIZE(pp_attention_plan_params, 104);
AT(pp_attention_plan_params, dtype, 4);
AT(pp_attention_plan_params, n_prompts, 28);
AT(pp_attention_plan_params, cu_seqlens_q, 32);
AT(pp_attention_plan_params, page_size, 64);
SIZE(pp_attention_plan_info, 88);
AT(pp_attention_plan_info, workspace_bytes, 8);
AT(pp_attention_plan_info, total_q, 40);
SIZE(pp_attention_params, 184);
AT(pp_attention_params, softmax_scale, 4);
AT(pp_attention_params, q, 8);
AT(pp_attention_params, stream, 56);
AT(pp_attention_params, k_page_stride, 80);
AT(pp_attention_params, lse_head_stride, 144);
SIZE(pp_session_params, 104);
AT(pp_session_params, device, 8);
AT(pp_session_params, memory_limit, 24);
AT(pp_session_params, stream, 56);
AT(pp_session_params, device_allocator, 64);
SIZE(pp_session_info, 280);
AT(pp_session_info, host_bytes, 128);
AT(pp_session_info, attention, 200);
AT(pp_session_info, pci_address, 232);
AT(pp_session_info, chunk_tokens, 20);
AT(pp_session_info, page_bytes, 24);
AT(pp_session_info, device, 32);
AT(pp_session_info, weight_bytes, 64);
SIZE(pp_measure_params, 72);
AT(pp_measure_params, operation, 4);
AT(pp_measure_params, lengths, 16);
AT(pp_measure_params, n_runs, 32);
AT(pp_measure_params, caches, 40);
SIZE(pp_measurement, 88);
AT(pp_measurement, seconds, 16);
AT(pp_measurement, own_seconds, 56);

VALUE(PP_OK, 0);
VALUE(PP_ERR_ARG, -1);
VALUE(PP_ERR_NOMEM, -2);
VALUE(PP_ERR_DEVICE_NOMEM, -3);
VALUE(PP_ERR_DEVICE, -4);
VALUE(PP_ERR_UNSUPPORTED, -5);
VALUE(PP_ERR_FORMAT, -6);
VALUE(PP_ERR_IO, -7);
VALUE(PP_ERR_LIMIT, -8);
VALUE(PP_ERR_PATH, -9);
VALUE(PP_ERR_TOO_LONG, -10);
VALUE(PP_ERR_CANCELLED, -11);
VALUE(PP_ERR_NO_BACKEND, -12);
VALUE(PP_ERR_STRUCT_SIZE, -13);
VALUE(PP_ERR_INTERNAL, -14);
VALUE(PP_DTYPE_AUTO, 0);
VALUE(PP_DTYPE_F32, 1);
VALUE(PP_DTYPE_F16, 2);
VALUE(PP_DTYPE_BF16, 3);
VALUE(PP_DTYPE_BOOL, 4);
VALUE(PP_POLICY_FFD, 1);
VALUE(PP_POLICY_BFD, 2);
VALUE(PP_POLICY_ARRIVAL, 3);
VALUE(PP_POLICY_FIRST_FIT, 4);
VALUE(PP_POLICY_BEST_FIT, 5);
VALUE(PP_POLICY_MBS, 6);
VALUE(PP_POLICY_EXACT, 7);
VALUE(PP_POLICY_AUTO, 8);
VALUE(PP_POLICY_LPT, 9);
VALUE(PP_POLICY_KK, 10);
VALUE(PP_POLICY_ORDERED, 11);
VALUE(PP_OBJECTIVE_FEWEST_BINS, 1);
VALUE(PP_OBJECTIVE_BALANCED, 2);
VALUE(PP_OBJECTIVE_CHEAPEST, 3);
VALUE(PP_OVERSIZE_ERROR, 1);
VALUE(PP_OVERSIZE_OWN_BIN, 2);
VALUE(PP_OVERSIZE_SPLIT, 3);
VALUE(PP_LAYOUT_RAGGED, 1);
VALUE(PP_LAYOUT_PADDED, 2);
VALUE(PP_ARCH_LLAMA, 1);
VALUE(PP_ARCH_MISTRAL, 2);
VALUE(PP_ROPE_DEFAULT, 0);
VALUE(PP_ROPE_LINEAR, 1);
VALUE(PP_ROPE_LLAMA3, 2);
VALUE(PP_KV_K, 0);
VALUE(PP_KV_V, 1);
VALUE(PP_KV_NHD, 1);
VALUE(PP_KV_HND, 2);
VALUE(PP_LOG_WARNING, 1);
VALUE(PP_LOG_INFO, 2);
VALUE(PP_MEASURE_QKV, 1);
VALUE(PP_MEASURE_O, 2);
VALUE(PP_MEASURE_GATE_UP, 3);
VALUE(PP_MEASURE_DOWN, 4);
VALUE(PP_MEASURE_LM_HEAD, 5);
VALUE(PP_MEASURE_ATTENTION, 6);
VALUE(PP_MEASURE_DECODE, 7);
VALUE(PP_MEASURE_EMBED, 8);
VALUE(PP_MEASURE_RMSNORM, 9);
VALUE(PP_MEASURE_ROPE_KV, 10);
VALUE(PP_MEASURE_GATHER, 11);
VALUE(PP_MEASURE_SAMPLE, 12);
VALUE(PP_MEASURE_COPY, 13);

int main(void)
{
    return 0;
}
