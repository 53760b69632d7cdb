/*
 * test_config_experts.c: mixtures of experts as config.json has them: all numbers, with and without
 * their keys, and what is refused. The expectations are those of the classes of transformers 5.
 */
#include "config_text.h"
#include "support/tap.h"

#define GLM "'model_type':'glm4_moe','head_dim':64" /* hidden / heads is no whole number */

static const struct {
    const char *text;
    int32_t n, top_k, size, shared, scoring;
    bool normalize, shared_gate;
} MIXTURES[] = {
    {"{'model_type':'mixtral'}", 8, 2, 14336, 0, PPI_SCORING_SOFTMAX, true, false},
    {"{'model_type':'mixtral','num_experts':5,'num_experts_per_tok':5,'norm_topk_prob':false}", 5,
     5, 14336, 0, PPI_SCORING_SOFTMAX, true, false},
    {"{'model_type':'mixtral','num_experts':5,'num_local_experts':5,'intermediate_size':72}", 5, 2,
     72, 0, PPI_SCORING_SOFTMAX, true, false},
    {"{'model_type':'qwen2_moe'}", 60, 4, 1408, 5632, PPI_SCORING_SOFTMAX, false, true},
    {"{'model_type':'qwen2_moe','num_experts':6,'num_local_experts':9,'moe_intermediate_size':20,"
     "'shared_expert_intermediate_size':30,'norm_topk_prob':true}",
     6, 4, 20, 30, PPI_SCORING_SOFTMAX, true, true},
    {"{'model_type':'qwen2_moe','shared_expert_intermediate_size':0}", 60, 4, 1408, 0,
     PPI_SCORING_SOFTMAX, false, false},
    {"{'model_type':'qwen3_moe'}", 128, 8, 768, 0, PPI_SCORING_SOFTMAX, false, false},
    {"{'model_type':'qwen3_moe','num_local_experts':16,'norm_topk_prob':true}", 16, 8, 768, 0,
     PPI_SCORING_SOFTMAX, true, false},
    {"{'model_type':'olmoe'}", 64, 8, 2048, 0, PPI_SCORING_SOFTMAX, false, false},
    {"{'model_type':'granitemoe'}", 8, 2, 11008, 0, PPI_SCORING_CHOSEN, false, false},
    {"{'model_type':'granitemoeshared'}", 8, 2, 11008, 0, PPI_SCORING_CHOSEN, false, false},
    {"{'model_type':'granitemoeshared','shared_intermediate_size':8}", 8, 2, 11008, 8,
     PPI_SCORING_CHOSEN, false, false},
    {"{'model_type':'gpt_oss'}", 128, 4, 2880, 0, PPI_SCORING_CHOSEN, false, false},
    {"{" GLM "}", 128, 8, 1408, 1408, PPI_SCORING_SIGMOID, true, false},
    {"{" GLM ",'n_routed_experts':9,'moe_intermediate_size':10,"
     "'n_shared_experts':3,'norm_topk_prob':false}",
     9, 8, 10, 30, PPI_SCORING_SIGMOID, false, false},
    {"{'model_type':'qwen3_next'}", 512, 10, 512, 512, PPI_SCORING_SOFTMAX, true, true},
    {"{'model_type':'qwen3_next','norm_topk_prob':false}", 512, 10, 512, 512, PPI_SCORING_SOFTMAX,
     false, true},
    {"{'model_type':'qwen3_5_moe_text','norm_topk_prob':false}", 256, 8, 512, 512,
     PPI_SCORING_SOFTMAX, true, true},
    {"{'model_type':'qwen3_5_moe','text_config':{'num_experts':4,'num_experts_per_tok':3}}", 4, 3,
     512, 512, PPI_SCORING_SOFTMAX, true, true},
    {"{'model_type':'granitemoehybrid','num_hidden_layers':1,'layer_types':['attention']}", 8, 2,
     11008, 1024, PPI_SCORING_CHOSEN, false, false},
};

START_TEST(reads_experts)
{
    const struct ppi_experts_spec *experts = &parse(MIXTURES[_i].text)->experts;
    ck_assert_int_eq(experts->n, MIXTURES[_i].n);
    ck_assert_int_eq(experts->top_k, MIXTURES[_i].top_k);
    ck_assert_int_eq(experts->intermediate_size, MIXTURES[_i].size);
    ck_assert_int_eq(experts->shared_size, MIXTURES[_i].shared);
    ck_assert_int_eq(experts->scoring, MIXTURES[_i].scoring);
    ck_assert_int_eq(experts->normalize, MIXTURES[_i].normalize);
    ck_assert_int_eq(experts->shared_gate, MIXTURES[_i].shared_gate);
    ck_assert(experts->router_scale == 1);
    ck_assert_int_eq(experts->files, PPI_WHEN_EXPERTS_FUSED);
    bool clamped = config.spec.arch == PP_ARCH_GPT_OSS, glm = config.spec.arch == PP_ARCH_GLM4_MOE;
    ck_assert_int_eq(experts->activation,
                     clamped ? PPI_ACTIVATION_SWIGLU_CLAMPED : PPI_ACTIVATION_SILU);
    ck_assert_int_eq(experts->router_bias, clamped);
    ck_assert_int_eq(experts->biases, clamped);
    ck_assert_int_eq(experts->router_correction, glm);
    ck_assert(experts->sum_eps == (glm ? 1e-20f : 0));
    done();
}
END_TEST

START_TEST(gpt_oss_as_it_comes)
{
    const struct ppi_model_spec *spec = parse("{'model_type':'gpt_oss'}");
    ck_assert(spec->experts.alpha == 1.702f && spec->experts.limit == 7);
    ck_assert(spec->sinks && spec->qkv_bias && spec->o_bias && !spec->attn_gate);
    ck_assert_int_eq(spec->layers[0].window, 128);
    ck_assert_int_eq(spec->layers[1].window, 0);
    const struct ppi_rope_spec *rope = spec->ropes;
    ck_assert_int_eq(rope->type, PP_ROPE_YARN);
    ck_assert(rope->theta == 150000 && rope->factor == 32 && !rope->truncate);
    ck_assert_int_eq(rope->original_max_position, 4096);
    done();
    /* as its files have it; the list of what is not packed names no experts */
    spec = parse("{'architectures':['GptOssForCausalLM'],'model_type':'gpt_oss',"
                 "'num_hidden_layers':2,'layer_types':['full_attention','sliding_attention'],"
                 "'sliding_window':16,'swiglu_limit':5.5,'swiglu_alpha':2,'attention_bias':false,"
                 "'rope_theta':9,'rope_scaling':{'rope_type':'yarn','factor':4,'beta_fast':32.0,"
                 "'beta_slow':1.0,'truncate':false,'original_max_position_embeddings':64},"
                 "'quantization_config':{'quant_method':'mxfp4','modules_to_not_convert':"
                 "['model.layers.*.self_attn','model.layers.*.mlp.router','lm_head']}}");
    ck_assert(spec->experts.alpha == 2 && spec->experts.limit == 5.5f);
    ck_assert(spec->sinks && !spec->qkv_bias && !spec->o_bias);
    ck_assert_int_eq(spec->layers[0].window, 0);
    ck_assert_int_eq(spec->layers[1].window, 16);
    ck_assert(spec->ropes[0].theta == 9 && spec->ropes[0].factor == 4);
    done();
}
END_TEST

START_TEST(glm_as_it_comes)
{
    const struct ppi_model_spec *spec = parse("{" GLM "}");
    ck_assert_int_eq(spec->qk_norm, PPI_QK_NORM_NONE);
    ck_assert(!spec->qkv_bias && !spec->interleaved && spec->experts.scale == 1);
    ck_assert_int_eq(spec->ropes[0].rotary_dim, 32);
    done();
    spec = parse("{" GLM ",'use_qk_norm':true,'attention_bias':true,"
                 "'routed_scaling_factor':2.5,'n_group':1,'topk_group':1,'rope_parameters':"
                 "{'rope_type':'default','partial_rotary_factor':0.25}}");
    ck_assert_int_eq(spec->qk_norm, PPI_QK_NORM_HEAD);
    ck_assert(spec->qkv_bias && !spec->o_bias && spec->experts.scale == 2.5f);
    ck_assert_int_eq(spec->ropes[0].rotary_dim, 16);
    done();
}
END_TEST

START_TEST(qwen_moe_as_it_comes)
{
    ck_assert(parse("{'model_type':'qwen2_moe','attention_bias':false}")->qkv_bias);
    done();
    const struct ppi_model_spec *spec =
        parse("{'model_type':'qwen2_moe','qkv_bias':false,'attention_bias':true}");
    ck_assert(!spec->qkv_bias && !spec->o_bias);
    done();
    spec = parse("{'model_type':'qwen3_moe','attention_bias':true,'head_dim':128}");
    ck_assert(spec->qkv_bias && spec->o_bias && spec->head_dim == 128);
    ck_assert_int_eq(spec->qk_norm, PPI_QK_NORM_HEAD);
    done();
    ck_assert_int_eq(parse("{'model_type':'qwen3_moe'}")->head_dim, 64); /* hidden / heads */
    done();
    ck_assert_int_eq(parse("{'model_type':'olmoe'}")->qk_norm, PPI_QK_NORM_WHOLE);
    done();
}
END_TEST

/* ---- refused ---- */

#define F PP_ERR_FORMAT
#define U PP_ERR_UNSUPPORTED
#define L PP_ERR_LIMIT

static const struct {
    const char *text, *message;
    pp_status status;
} REFUSED[] = {
    {"{'model_type':'llama','num_local_experts':8}", "\"num_local_experts\" is 8; experts are not",
     U},
    {"{'model_type':'qwen3_5_text','num_experts':8}", "\"num_experts\" is 8; experts are not", U},
    {"{'model_type':'mixtral','num_local_experts':0}",
     "\"num_local_experts\" is 0; an integer from 1 to 4096", F},
    {"{'model_type':'mixtral','num_local_experts':null}", "\"num_local_experts\" is null", F},
    {"{'model_type':'mixtral','num_local_experts':4097}",
     "\"num_local_experts\" is 4097; at most 4096", L},
    {"{'model_type':'mixtral','num_local_experts':4,'num_experts':5}",
     "\"num_local_experts\" is 4 and \"num_experts\" 5; both mean the number", F},
    {"{'model_type':'olmoe','num_experts':0}", "\"num_experts\" is 0", F},
    {"{'model_type':'gpt_oss','num_local_experts':0}", "\"num_local_experts\" is 0", F},
    {"{'model_type':'granitemoe','num_local_experts':0}", "\"num_local_experts\" is 0", F},
    {"{" GLM ",'n_routed_experts':0}", "\"n_routed_experts\" is 0", F},
    {"{'model_type':'qwen3_5_moe_text','num_experts':0}", "\"num_experts\" is 0", F},
    {"{'model_type':'qwen3_moe','num_experts':-1}", "\"num_experts\" is -1", F},
    {"{'model_type':'mixtral','num_experts_per_tok':0}", "\"num_experts_per_tok\" is 0", F},
    {"{'model_type':'mixtral','num_experts_per_tok':9}",
     "\"num_experts_per_tok\" is 9; at most all 8 experts can be chosen", F},
    {"{'model_type':'qwen3_moe','num_experts':4}", "\"num_experts_per_tok\" is 8; at most all 4",
     F},
    {"{'model_type':'qwen3_moe','moe_intermediate_size':0}", "\"moe_intermediate_size\" is 0", F},
    {"{'model_type':'qwen3_moe','moe_intermediate_size':null}", "\"moe_intermediate_size\" is null",
     F},
    {"{'model_type':'qwen3_moe','moe_intermediate_size':2000000}",
     "\"moe_intermediate_size\" is 2000000; at most 1048576", L},
    {"{'model_type':'qwen3_moe','decoder_sparse_step':0}", "\"decoder_sparse_step\" is 0", F},
    {"{'model_type':'qwen3_moe','mlp_only_layers':3}",
     "\"mlp_only_layers\" is 3; an array of numbers of layers", F},
    {"{'model_type':'qwen3_moe','mlp_only_layers':[1.5]}",
     "\"mlp_only_layers\" is 1.5; the number of a layer", F},
    {"{'model_type':'qwen3_moe','norm_topk_prob':1}", "\"norm_topk_prob\" is 1", F},
    {"{'model_type':'qwen2_moe','shared_expert_intermediate_size':-1}",
     "\"shared_expert_intermediate_size\" is -1", F},
    {"{" GLM ",'n_shared_experts':1000000,'moe_intermediate_size':1000000}",
     "\"n_shared_experts\" is 1000000, so that the shared expert's size is 1000000000000", L},
    {"{" GLM ",'first_k_dense_replace':-1}", "\"first_k_dense_replace\" is -1", F},
    {"{" GLM ",'n_group':8}", "\"n_group\" is 8; 1 is supported", U},
    {"{" GLM ",'topk_group':2}", "\"topk_group\" is 2; 1 is supported", U},
    {"{" GLM ",'routed_scaling_factor':0}", "\"routed_scaling_factor\" is 0", F},
    {"{" GLM ",'routed_scaling_factor':1e-300}",
     "\"routed_scaling_factor\" is 1e-300; an f32 above 0", F},
    {"{" GLM ",'routed_scaling_factor':1e39}", "\"routed_scaling_factor\" is 1e+39; an f32 above 0",
     F},
    {"{'model_type':'olmoe','clip_qkv':8.0}", "\"clip_qkv\" is 8.0; null is supported", U},
    {"{'model_type':'gpt_oss','swiglu_limit':0}", "\"swiglu_limit\" is 0; a number above 0", F},
    {"{'model_type':'gpt_oss','swiglu_alpha':-1}", "\"swiglu_alpha\" is -1; a number above 0", F},
    {"{'model_type':'gpt_oss','swiglu_limit':1e300}", "\"swiglu_limit\" is 1e+300; an f32 above 0",
     F},
    {"{'model_type':'gpt_oss','quantization_config':{'quant_method':'gptq'}}",
     "\"quant_method\" of \"quantization_config\" is \"gptq\"; quantized weights", U},
    {"{'model_type':'mixtral','quantization_config':{'quant_method':'mxfp4'}}",
     "\"quant_method\" of \"quantization_config\" is \"mxfp4\"; quantized weights", U},
    {"{'model_type':'mixtral','quantization_config':{'bits':4}}",
     "\"quantization_config\" is an object; quantized weights", U},
    {"{'model_type':'gpt_oss','quantization_config':{'quant_method':'mxfp4',"
     "'modules_to_not_convert':'lm_head'}}",
     "\"modules_to_not_convert\" is \"lm_head\"; an array of names", F},
    {"{'model_type':'gpt_oss','quantization_config':{'quant_method':'mxfp4',"
     "'modules_to_not_convert':[1]}}",
     "\"modules_to_not_convert\" is 1; the name of a module", F},
    {"{'model_type':'gpt_oss','quantization_config':{'quant_method':'mxfp4',"
     "'modules_to_not_convert':['lm_head','model.layers.3.mlp.experts']}}",
     "\"modules_to_not_convert\" is \"model.layers.3.mlp.experts\"; all experts are in MXFP4", U},
};

START_TEST(refuses)
{
    pp_error err = {.struct_size = sizeof err};
    pp_status status = read(REFUSED[_i].text, &err);
    ck_assert_msg(status == REFUSED[_i].status, "%s: %d, %s", REFUSED[_i].text, status,
                  status < 0 ? err.message : "accepted");
    ck_assert_msg(strstr(err.message, REFUSED[_i].message) != NULL, "%s: %s", REFUSED[_i].text,
                  err.message);
    ck_assert_int_eq(strncmp(err.message, "config: ", 8), 0);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_experts");
    TCase *meanings = tcase_create("meanings");
    tcase_add_loop_test(meanings, reads_experts, 0, (int)PPI_COUNT(MIXTURES));
    tcase_add_test(meanings, gpt_oss_as_it_comes);
    tcase_add_test(meanings, glm_as_it_comes);
    tcase_add_test(meanings, qwen_moe_as_it_comes);
    suite_add_tcase(suite, meanings);
    TCase *refused = tcase_create("refused");
    tcase_add_loop_test(refused, refuses, 0, (int)PPI_COUNT(REFUSED));
    suite_add_tcase(suite, refused);
    return tap_run(suite, CK_FORK);
}
