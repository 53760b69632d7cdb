/*
 * test_config_kinds.c: which layers attend, which are linear, and which have experts or a dense
 * MLP; the shape of linear layers, and what is refused. The expectations are those of the classes
 * of transformers 5.
 */
#include "config_text.h"
#include "support/tap.h"

#include <math.h>
#include <stdio.h>

/* ---- which layers ---- */

#define KINDS3 "'num_hidden_layers':3,'layer_types':"
#define GLM    "'model_type':'glm4_moe','head_dim':64" /* hidden / heads is no whole number */
#define MAMBA  "'hidden_size':64,'mamba_n_heads':4,'mamba_d_head':32"

/* For each layer: a attends and rotates, n attends and does not, l is linear; E has experts, d a
 * dense MLP of the size behind it. */
static const struct {
    const char *text, *layers;
    int32_t dense, widest; /* of the model */
} LAYERS[] = {
    {"{'model_type':'mixtral','num_hidden_layers':2}", "aEaE", 0, 14336},
    {"{'model_type':'olmoe','num_hidden_layers':2,'intermediate_size':96}", "aEaE", 0, 96},
    {"{'model_type':'gpt_oss','num_hidden_layers':2}", "aEaE", 0, 2880},
    {"{'model_type':'granitemoe','num_hidden_layers':2}", "aEaE", 0, 11008},
    {"{'model_type':'granitemoeshared','num_hidden_layers':2,'shared_intermediate_size':24}",
     "aEaE", 0, 24},
    {"{'model_type':'qwen2_moe','num_hidden_layers':3,'intermediate_size':6000}", "aEaEaE", 0,
     5632},
    {"{'model_type':'qwen2_moe','num_hidden_layers':4,'intermediate_size':6000,"
     "'decoder_sparse_step':2}",
     "adaEadaE", 6000, 6000},
    {"{'model_type':'qwen2_moe','num_hidden_layers':4,'intermediate_size':80,"
     "'decoder_sparse_step':2,'mlp_only_layers':[3,99,-1]}",
     "adaEadad", 80, 5632},
    {"{'model_type':'qwen2_moe','num_hidden_layers':2,'intermediate_size':80,'num_experts':0,"
     "'num_experts_per_tok':0}",
     "adad", 80, 80},
    {"{'model_type':'qwen3_moe','num_hidden_layers':2,'mlp_only_layers':[0]}", "adaE", 6144, 6144},
    {"{'model_type':'qwen3_moe','num_hidden_layers':2,'mlp_only_layers':null}", "aEaE", 0, 768},
    {"{" GLM ",'num_hidden_layers':3}", "adaEaE", 10944, 10944},
    {"{" GLM ",'num_hidden_layers':3,'first_k_dense_replace':0,"
     "'n_shared_experts':2}",
     "aEaEaE", 0, 2816},
    {"{" GLM ",'num_hidden_layers':2,'first_k_dense_replace':9}", "adad", 10944, 10944},
    {"{'model_type':'qwen3_next','num_hidden_layers':5}", "lElElEaElE", 0, 512},
    {"{'model_type':'qwen3_next','num_hidden_layers':2,'full_attention_interval':2,"
     "'mlp_only_layers':[1]}",
     "lEad", 5632, 5632},
    {"{'model_type':'qwen3_5_text','num_hidden_layers':4}", "ldldldad", 12288, 12288},
    {"{'model_type':'qwen3_5_text','full_attention_interval':1," KINDS3
     "['full_attention','linear_attention','linear_attention']}",
     "adldld", 12288, 12288},
    {"{'model_type':'qwen3_5_text','num_hidden_layers':2,'layer_types':null,"
     "'full_attention_interval':1}",
     "adad", 12288, 12288},
    {"{'model_type':'qwen3_5_moe_text','num_hidden_layers':4}", "lElElEaE", 0, 512},
    {"{'model_type':'granitemoehybrid'," MAMBA "," KINDS3 "['mamba','attention','mamba']}",
     "lEnElE", 0, 1024},
    {"{'model_type':'granitemoehybrid','position_embedding_type':'rope'," MAMBA "," KINDS3
     "['linear_attention','full_attention','linear_attention']}",
     "lEaElE", 0, 1024},
    {"{'model_type':'granitemoehybrid','position_embedding_type':'nope','num_local_experts':0,"
     "'num_experts_per_tok':0,'shared_intermediate_size':40," MAMBA
     ",'num_hidden_layers':2,'layer_types':null,'layers_block_type':['mamba','attention']}",
     "ldnd", 40, 40},
    /* nothing linear: the shape of such layers is not looked at */
    {"{'model_type':'granitemoehybrid','num_local_experts':0,'mamba_d_head':7," KINDS3
     "['attention','attention','attention']}",
     "ndndnd", 1024, 1024},
};

START_TEST(reads_layers)
{
    const struct ppi_model_spec *spec = parse(LAYERS[_i].text);
    int32_t n_linear = 0, last = 0;
    char text[64] = "";
    for (int32_t i = 0; i < spec->n_layers; i++) {
        const struct ppi_layer_spec *layer = &spec->layers[i];
        bool linear = layer->kind == PPI_LAYER_LINEAR;
        char code[3] = {linear              ? 'l'
                        : layer->i_rope < 0 ? 'n'
                                            : 'a',
                        layer->has_experts ? 'E' : 'd', 0};
        strcat(text, code);
        ck_assert_int_eq(layer->mlp_size, layer->has_experts ? 0 : LAYERS[_i].dense);
        ck_assert_int_eq(layer->kv_layer, i);
        ck_assert_int_eq(spec->places[i].page_class, linear ? -1 : layer->window > 0);
        if (linear) {
            ck_assert_int_eq(spec->places[i].index, n_linear);
            ck_assert_int_eq(layer->i_rope, -1);
            ck_assert_int_eq(layer->window, 0);
        }
        n_linear += linear;
        last = i;
    }
    ck_assert_str_eq(text, LAYERS[_i].layers);
    ck_assert_int_eq(spec->n_linear, n_linear);
    ck_assert_int_eq(spec->last_writer, last);
    ck_assert_int_eq(spec->intermediate_size, LAYERS[_i].widest);
    ck_assert_int_eq(spec->experts.n > 0, strchr(LAYERS[_i].layers, 'E') != NULL);
    ck_assert_int_eq(spec->linear.conv_kernel > 0, n_linear > 0);
    done();
}
END_TEST

/* ---- linear layers ---- */

static const struct {
    const char *text;
    enum ppi_linear_rule rule;
    int32_t n_k_heads, n_v_heads, k_dim, v_dim, conv_kernel, norm_groups;
} SHAPES[] = {
    {"{'model_type':'qwen3_next'}", PPI_LINEAR_DELTA, 16, 32, 128, 128, 4, 0},
    {"{'model_type':'qwen3_5_text','linear_num_key_heads':3,'linear_num_value_heads':6,"
     "'linear_key_head_dim':10,'linear_value_head_dim':12,'linear_conv_kernel_dim':1}",
     PPI_LINEAR_DELTA, 3, 6, 10, 12, 1, 0},
    {"{'model_type':'qwen3_5','text_config':{'linear_num_key_heads':4,'linear_num_value_heads':4}}",
     PPI_LINEAR_DELTA, 4, 4, 128, 128, 4, 0},
    {"{'model_type':'granitemoehybrid'," KINDS3 "['mamba','mamba','attention']}", PPI_LINEAR_MAMBA2,
     1, 128, 256, 64, 4, 1},
    {"{'model_type':'granitemoehybrid','hidden_size':60,'num_attention_heads':5,'num_key_value_"
     "heads':5,'mamba_expand':3,"
     "'mamba_n_heads':12,'mamba_n_groups':3,'mamba_d_state':5,'mamba_d_head':'auto',"
     "'mamba_d_conv':8," KINDS3 "['mamba','mamba','attention']}",
     PPI_LINEAR_MAMBA2, 3, 12, 5, 15, 8, 3},
    {"{'model_type':'granitemoehybrid'," MAMBA "," KINDS3 "['mamba','mamba','attention']}",
     PPI_LINEAR_MAMBA2, 1, 4, 256, 32, 4, 1},
};

START_TEST(reads_linear_shapes)
{
    const struct ppi_model_spec *spec = parse(SHAPES[_i].text);
    const struct ppi_linear_shape *shape = &spec->linear;
    bool delta = SHAPES[_i].rule == PPI_LINEAR_DELTA;
    ck_assert_int_eq(shape->rule, SHAPES[_i].rule);
    ck_assert_int_eq(shape->n_k_heads, SHAPES[_i].n_k_heads);
    ck_assert_int_eq(shape->n_v_heads, SHAPES[_i].n_v_heads);
    ck_assert_int_eq(shape->k_dim, SHAPES[_i].k_dim);
    ck_assert_int_eq(shape->v_dim, SHAPES[_i].v_dim);
    ck_assert_int_eq(shape->conv_kernel, SHAPES[_i].conv_kernel);
    ck_assert_int_eq(shape->norm_groups, SHAPES[_i].norm_groups);
    ck_assert_int_eq(spec->attn_gate, delta);
    ck_assert_int_eq(spec->conv_bias, !delta);
    ck_assert(!spec->linear_bias);
    ck_assert(shape->dt_min == 0 && shape->dt_max == (delta ? 0 : INFINITY));
    if (delta)
        ck_assert_int_eq(spec->ropes[0].rotary_dim, spec->head_dim / 4);
    done();
}
END_TEST

#define HYBRID "{'model_type':'granitemoehybrid'," MAMBA "," KINDS3 "['mamba','mamba','attention']"

START_TEST(mamba_as_it_comes)
{
    static const struct {
        const char *limit;
        float min, max;
    } limits[] = {
        {"null", 0, INFINITY},
        {"[0.001,0.5]", 0.001f, 0.5f},
        {"[0.0,Infinity]", 0, INFINITY},
        {"[0.0,{'__float__':'Infinity'}]", 0, INFINITY},
    };
    for (size_t i = 0; i < PPI_COUNT(limits); i++) {
        char text[512];
        snprintf(text, sizeof text, HYBRID ",'time_step_limit':%s}", limits[i].limit);
        const struct ppi_linear_shape *shape = &parse(text)->linear;
        ck_assert(shape->dt_min == limits[i].min && shape->dt_max == limits[i].max);
        done();
    }
    const struct ppi_model_spec *spec =
        parse(HYBRID ",'mamba_conv_bias':false,'mamba_proj_bias':true,'embedding_multiplier':12,"
                     "'attention_multiplier':0.5,'residual_multiplier':0.25,'logits_scaling':8}");
    ck_assert(!spec->conv_bias && spec->linear_bias);
    ck_assert(spec->embed_scale == 12 && spec->softmax_scale == 0.5f);
    ck_assert(spec->residual_scale == 0.25f && spec->logit_scale == 0.125f);
    done();
}
END_TEST

/* As a model's files have them, with what belongs to images and to positions of them. */
START_TEST(qwen_as_it_comes)
{
    const struct ppi_model_spec *spec = parse(
        "{'architectures':['Qwen3_5ForConditionalGeneration'],'model_type':'qwen3_5',"
        "'image_token_id':5,'tie_word_embeddings':true,'vision_config':{'depth':2},'text_config':{"
        "'model_type':'qwen3_5_text','attn_output_gate':true,'mtp_num_hidden_layers':1,"
        "'num_hidden_layers':4,'full_attention_interval':4,'layer_types':['linear_attention',"
        "'linear_attention','linear_attention','full_attention'],'mamba_ssm_dtype':'float32',"
        "'rope_parameters':{'mrope_interleaved':true,'mrope_section':[11,11,10],'rope_type':"
        "'default','rope_theta':1e7,'partial_rotary_factor':0.25}}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_QWEN3_5);
    ck_assert(spec->tie_embeddings && spec->attn_gate);
    ck_assert_int_eq(spec->n_linear, 3);
    ck_assert_int_eq(spec->layers[3].i_rope, 0);
    ck_assert(spec->ropes[0].theta == 1e7 && spec->ropes[0].rotary_dim == 64);
    done();
    spec = parse("{'architectures':['Qwen3_5MoeForConditionalGeneration'],'text_config':{}}");
    ck_assert_int_eq(spec->arch, PP_ARCH_QWEN3_5_MOE);
    ck_assert(!spec->tie_embeddings);
    done();
    spec = parse("{'architectures':['Qwen3_5TextForSequenceClassification'],'num_labels':3}");
    ck_assert_int_eq(spec->arch, PP_ARCH_QWEN3_5);
    ck_assert_int_eq(spec->n_labels, 3);
    done();
}
END_TEST

/* ---- what the interface says ---- */

START_TEST(tells_of_kinds)
{
    pp_error err = {.struct_size = sizeof err};
    pp_model *model;
    pp_model_config told = {.struct_size = sizeof told};
    pp_layer_config layer = {.struct_size = sizeof layer};
    ck_assert_int_eq(
        pp_model_create_random(
            "{\"model_type\":\"qwen3_next\",\"hidden_size\":32,\"num_hidden_layers\":4,"
            "\"vocab_size\":64,\"num_experts\":8,\"num_experts_per_tok\":3,\"mlp_only_layers\":[3],"
            "\"intermediate_size\":600,\"linear_num_key_heads\":2,\"linear_num_value_heads\":6,"
            "\"linear_key_head_dim\":16,\"linear_value_head_dim\":24}",
            1, NULL, &model, &err),
        PP_OK);
    ck_assert_int_eq(pp_model_get_config(model, &told, &err), PP_OK);
    ck_assert_int_eq(told.intermediate_size, 600);
    ck_assert_int_eq(told.n_experts, 8);
    ck_assert_int_eq(told.n_experts_per_token, 3);
    ck_assert_int_eq(told.expert_size, 512);
    ck_assert_int_eq(told.shared_expert_size, 512);
    ck_assert_int_eq(told.n_linear_layers, 3);
    ck_assert_int_eq(told.linear_rule, PP_LINEAR_DELTA);
    ck_assert_int_eq(told.linear_key_heads, 2);
    ck_assert_int_eq(told.linear_value_heads, 6);
    ck_assert_int_eq(told.linear_key_dim, 16);
    ck_assert_int_eq(told.linear_value_dim, 24);
    ck_assert_int_eq(told.linear_kernel, 4);
    ck_assert_int_eq(pp_model_get_layer(model, 0, &layer, &err), PP_OK);
    ck_assert(layer.kind == PP_LAYER_LINEAR && layer.kv_layer == -1 && layer.n_kv_heads == 0);
    ck_assert(layer.head_dim == 0 && layer.rope_type == PP_ROPE_NONE && layer.rotary_dim == 0);
    ck_assert(layer.has_experts == 1 && layer.intermediate_size == 0);
    ck_assert_int_eq(pp_model_get_layer(model, 3, &layer, &err), PP_OK);
    ck_assert(layer.kind == PP_LAYER_ATTENTION && layer.kv_layer == 3 && layer.n_kv_heads == 2);
    ck_assert(layer.head_dim == 256 && layer.rotary_dim == 64);
    ck_assert(layer.has_experts == 0 && layer.intermediate_size == 600);
    pp_model_unref(model);
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
    {"{'model_type':'qwen3_next','attention_bias':true}",
     "\"attention_bias\" is true; false is supported", U},
    {"{'model_type':'qwen3_next','num_hidden_layers':3}", "no layer attends", U},
    {"{'model_type':'qwen3_next','hidden_act':'gelu_pytorch_tanh'}",
     "\"hidden_act\" is \"gelu_pytorch_tanh\"; \"silu\" is supported beside linear layers", U},
    {"{'model_type':'qwen3_next','full_attention_interval':0}", "\"full_attention_interval\" is 0",
     F},
    {"{'model_type':'qwen3_next','linear_num_value_heads':24}",
     "\"linear_num_value_heads\" 24 is not a multiple of \"linear_num_key_heads\" 16", F},
    {"{'model_type':'qwen3_next','linear_num_key_heads':0}", "\"linear_num_key_heads\" is 0", F},
    {"{'model_type':'qwen3_next','linear_key_head_dim':513}",
     "\"linear_key_head_dim\" is 513; at most 512", L},
    {"{'model_type':'qwen3_next','linear_value_head_dim':0}", "\"linear_value_head_dim\" is 0", F},
    {"{'model_type':'qwen3_next','linear_conv_kernel_dim':0}", "\"linear_conv_kernel_dim\" is 0",
     F},
    {"{'model_type':'qwen3_next','linear_conv_kernel_dim':9}",
     "\"linear_conv_kernel_dim\" is 9; at most 8", L},
    {"{'model_type':'qwen3_5_text'," KINDS3 "['linear_attention','full_attention']}",
     "\"layer_types\" has 2 entries; 3 are needed", F},
    {"{'model_type':'qwen3_5_text'," KINDS3
     "['linear_attention','full_attention','sliding_attention']}",
     "\"layer_types\" is \"sliding_attention\"; \"full_attention\" and \"linear_attention\"", U},
    {"{'model_type':'qwen3_5_text'," KINDS3 "['linear_attention','full_attention',7]}",
     "\"layer_types\" is 7", F},
    {"{'model_type':'qwen3_5_text'," KINDS3
     "['linear_attention','linear_attention','linear_attention']}",
     "no layer attends; models with attention in some layers", U},
    {"{'model_type':'granitemoehybrid'}", "no layer attends", U},
    {HYBRID ",'mamba_expand':0}", "\"mamba_expand\" is 0", F},
    {HYBRID ",'mamba_expand':3}",
     "4 heads (\"mamba_n_heads\") of 32 elements are not \"mamba_expand\" 3 times the hidden size "
     "64",
     F},
    {"{'model_type':'granitemoehybrid','mamba_n_heads':3," KINDS3 "['mamba','attention','mamba']}",
     "8192 elements (\"mamba_expand\" times the hidden size) of 3 heads are more than 512", L},
    {"{'model_type':'granitemoehybrid','mamba_n_heads':100," KINDS3
     "['mamba','attention','mamba']}",
     "100 heads (\"mamba_n_heads\") of 81 elements are not", F},
    {HYBRID ",'mamba_n_groups':3}", "\"mamba_n_heads\" 4 is not a multiple of \"mamba_n_groups\" 3",
     F},
    {HYBRID ",'mamba_d_state':0}", "\"mamba_d_state\" is 0", F},
    {HYBRID ",'mamba_d_conv':9}", "\"mamba_d_conv\" is 9; at most 8", L},
    {HYBRID ",'mamba_conv_bias':1}", "\"mamba_conv_bias\" is 1; true or false", F},
    {HYBRID ",'time_step_limit':[0.1]}", "\"time_step_limit\" has 1 entries; 2 are needed", F},
    {HYBRID ",'time_step_limit':[0.5,0.1]}", "\"time_step_limit\" is an array; two numbers", F},
    {HYBRID ",'time_step_limit':[-1,1]}", "\"time_step_limit\" is an array; two numbers", F},
    {HYBRID ",'time_step_limit':[0,NaN]}", "\"time_step_limit\" is an array; two numbers", F},
    {HYBRID ",'position_embedding_type':'alibi'}",
     "\"position_embedding_type\" is \"alibi\"; \"rope\", \"nope\" and null", U},
    {"{'model_type':'granitemoehybrid','num_local_experts':0,'shared_intermediate_size':0," MAMBA
     "," KINDS3 "['mamba','attention','mamba']}",
     "\"shared_intermediate_size\" is 0", F},
    {"{'model_type':'granitemoeshared','architectures':['GraniteMoeForCausalLM']}",
     "GraniteMoeSharedForCausalLM and GraniteMoeSharedModel are supported", U},
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
    Suite *suite = suite_create("config_kinds");
    TCase *meanings = tcase_create("meanings");
    tcase_add_loop_test(meanings, reads_layers, 0, (int)PPI_COUNT(LAYERS));
    tcase_add_loop_test(meanings, reads_linear_shapes, 0, (int)PPI_COUNT(SHAPES));
    tcase_add_test(meanings, mamba_as_it_comes);
    tcase_add_test(meanings, qwen_as_it_comes);
    tcase_add_test(meanings, tells_of_kinds);
    suite_add_tcase(suite, meanings);
    TCase *refused = tcase_create("refused");
    tcase_add_loop_test(refused, refuses, 0, (int)PPI_COUNT(REFUSED));
    suite_add_tcase(suite, refused);
    return tap_run(suite, CK_FORK);
}
