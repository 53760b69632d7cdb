/*
 * test_cpp.cpp: the C++ interface: the bits of the C functions, exceptions that say what went
 * wrong, objects that own what they should, views, threads.
 */
#include <prepack/prepack.hpp>

#include <array>
#include <cstdio>
#include <cstring>
#include <deque>
#include <set>
#include <thread>

/* Behind all of C++: Check has a macro `fail`. */
#include "support/tap.h"

using namespace prepack;
using Ids = std::vector<int32_t>;

static const std::vector<Ids> PROMPTS = {{1, 15, 27, 8, 301, 44, 7, 7, 19}, {1, 9}, {1, 77, 12, 5}};

static Session new_session(int n_threads = 1)
{
    auto params = defaults<pp_session_params>();
    params.n_threads = n_threads;
    return Session(Model::random(pp_model_preset("tiny")), params);
}

/* The status with which something throws; 0 when it does not. */
template <class Action> static pp_status thrown_by(Action action)
{
    try {
        action();
    } catch (const Error &error) {
        ck_assert_uint_gt(std::strlen(error.what()), 10);
        return error.status();
    }
    return PP_OK;
}

/* All that a cache holds. */
static std::vector<float> bits_of(const Cache &cache)
{
    std::vector<float> all;
    const Model model(pp_model_ref(pp_session_model(pp_kvcache_session(cache.get()))));
    for (int32_t layer = 0; layer < model.config().n_layers; layer++)
        for (int32_t which : {PP_KV_K, PP_KV_V}) {
            const std::vector<float> part = cache.read(layer, which);
            all.insert(all.end(), part.begin(), part.end());
        }
    return all;
}

static bool same_bits(span<const float> a, span<const float> b)
{
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

START_TEST(alone_and_packed_are_the_same_bits)
{
    Session session = new_session();
    const Plan plan = Packer::with_defaults().plan_prompts(PROMPTS);
    RunOptions options;
    options.plan = &plan;
    Matrix logits;
    const std::vector<Cache> caches = prefill(session, PROMPTS, options, &logits);
    ck_assert_uint_eq(caches.size(), PROMPTS.size());
    ck_assert_uint_eq(logits.n_rows, PROMPTS.size());
    for (size_t i = 0; i < PROMPTS.size(); i++) {
        Matrix own;
        const std::vector<Cache> alone = prefill(session, std::vector<Ids>{PROMPTS[i]}, {}, &own);
        ck_assert_int_eq(alone[0].length(), count(PROMPTS[i].size()));
        ck_assert(same_bits(bits_of(alone[0]), bits_of(caches[i])));
        ck_assert(same_bits(own[0], logits[i]));
    }
    ck_assert(!same_bits(logits[0], logits[1]));
}
END_TEST

START_TEST(helpers_give_what_runs_give)
{
    Session session = new_session();
    GenerateOptions how;
    how.max_new_tokens = 5;
    how.temperature = 0.8f;
    how.seed = 3;
    how.stop_at_eos = false;
    const auto texts = generate(session, PROMPTS, how);
    const auto logprobs = score(session, PROMPTS);
    for (size_t i = 0; i < PROMPTS.size(); i++) { /* the same by hand */
        Item item(PROMPTS[i]);
        item.output = PP_OUTPUT_TOKEN;
        item.temperature = 0.8f;
        item.seed = 3 + i;
        Ids text;
        for (int step = 0; step < 5; step++) {
            session.run(item);
            text.push_back(item.next);
            item.set_tokens({&text.back(), 1});
        }
        ck_assert(text == texts[i]);
        ck_assert_int_eq(pp_kvcache_length(item.cache), count(PROMPTS[i].size()) + 4);

        pp_continuation all{};
        all.tokens = PROMPTS[i].data();
        all.n_tokens = count(PROMPTS[i].size());
        all.n_context = 1;
        score_continuations(session, {&all, 1});
        double sum = 0;
        for (double logprob : logprobs[i])
            sum += logprob;
        ck_assert_uint_eq(logprobs[i].size(), PROMPTS[i].size() - 1);
        ck_assert(sum < 0 && sum == all.logprob);
    }
    const Matrix last = embed(session, PROMPTS), mean = embed(session, PROMPTS, PP_POOLING_MEAN, 1);
    ck_assert(!same_bits(last[0], mean[0]));
    for (size_t i = 0; i < PROMPTS.size(); i++) {
        double square = 0;
        for (float x : mean[i])
            square += static_cast<double>(x) * static_cast<double>(x);
        ck_assert_double_eq_tol(square, 1, 1e-5);
        ck_assert(same_bits(embed(session, std::deque<Ids>{PROMPTS[i]})[0], last[i]));
    }
}
END_TEST

START_TEST(generation_stops_where_it_is_told)
{
    Session session = new_session();
    GenerateOptions how;
    how.max_new_tokens = 6;
    how.stop_at_eos = false;
    const auto all = generate(session, PROMPTS, how);
    size_t n_told = 0;
    how.on_token = [&](size_t prompt, int32_t token) {
        ck_assert_int_eq(token, all[prompt][prompt == 1 ? 0 : n_told++ / 2]);
        return prompt != 1;
    };
    const auto some = generate(session, PROMPTS, how);
    ck_assert_uint_eq(n_told, 12);
    ck_assert(some[0] == all[0] && some[2] == all[2]);
    ck_assert_uint_eq(some[1].size(), 1);
    how.on_token = nullptr;
    how.stop_tokens = {all[0][2]};
    const auto first = std::find(all[0].begin(), all[0].end(), all[0][2]);
    ck_assert_int_eq(count(generate(session, PROMPTS, how)[0].size()), first - all[0].begin());
    how.max_new_tokens = 0;
    ck_assert(generate(session, PROMPTS, how)[0].empty());
}
END_TEST

START_TEST(an_error_while_generating_names_the_prompt)
{
    std::string config = pp_model_preset("tiny");
    const std::string key = "\"max_position_embeddings\":";
    const size_t at = config.find(key);
    ck_assert(at != std::string::npos);
    const size_t end = config.find_first_of(",}", at);
    config.replace(at, end - at, key + " 12");
    Session session(Model::random(config));
    GenerateOptions how;
    how.stop_at_eos = false;
    how.on_token = [](size_t prompt, int32_t) { return prompt == 0; };
    std::vector<Ids> prompts = {PROMPTS[1], PROMPTS[0]};
    how.max_new_tokens = 8;
    ck_assert_uint_eq(generate(session, prompts, how)[0].size(), 8);
    how.on_token = [](size_t prompt, int32_t) { return prompt == 1; };
    try {
        generate(session, prompts, how);
        ck_abort_msg("a text grew past the model's positions");
    } catch (const Error &error) {
        ck_assert_int_eq(error.status(), PP_ERR_TOO_LONG);
        ck_assert_int_eq(error.index(), 1);
    }
}
END_TEST

START_TEST(errors_say_what_and_where)
{
    ck_assert_int_eq(thrown_by([] { Model("no/such/model"); }), PP_ERR_IO);
    try {
        Model("no/such/model");
    } catch (const std::runtime_error &error) {
        ck_assert_ptr_nonnull(std::strstr(error.what(), "no/such/model"));
    }
    Session session = new_session();
    std::vector<Ids> prompts = PROMPTS;
    prompts[2][1] = -4;
    try {
        prefill(session, prompts);
        ck_abort_msg("a negative token id was taken");
    } catch (const Error &error) {
        ck_assert_int_eq(error.status(), PP_ERR_ARG);
        ck_assert_int_eq(error.index(), 2);
        ck_assert_int_eq(error.native_code(), 0);
    }
    Cache cache = std::move(prefill(session, PROMPTS)[0]);
    ck_assert_int_eq(thrown_by([&] { cache.truncate(100); }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([&] { cache.save("x", Ids{1, 2}); }), PP_ERR_ARG);
    ck_assert_int_eq(cache.length(), 9);
    auto params = defaults<pp_packer_params>();
    params.capacity = 4;
    ck_assert_int_eq(thrown_by([&] { Packer(params).plan_prompts(PROMPTS); }), PP_ERR_TOO_LONG);
    params.objective = 77;
    ck_assert_int_eq(thrown_by([&] { Packer{params}; }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([] { Plan::from_json("{}"); }), PP_ERR_FORMAT);
}
END_TEST

START_TEST(objects_own_their_handles)
{
    static_assert(!std::is_copy_constructible_v<Cache> && !std::is_copy_assignable_v<Session>);
    static_assert(std::is_nothrow_move_constructible_v<Item> &&
                  !std::is_copy_constructible_v<Item>);
    static_assert(!std::is_constructible_v<Item, std::array<int32_t, 2>> &&
                  std::is_constructible_v<Item, std::array<int32_t, 2> &>);
    static_assert(!std::is_constructible_v<Item, Ids> && std::is_constructible_v<Item, Ids &>);
    Session session = new_session();
    Item item(PROMPTS[0]);
    session.run(item);
    Item other = std::move(item);
    ck_assert_ptr_null(item.cache);
    Item *same = &other;
    other = std::move(*same);
    ck_assert_int_eq(pp_kvcache_length(other.cache), 9);
    Cache cache = other.take_cache();
    ck_assert(!other.take_cache());
    Cache taken = std::move(cache);
    ck_assert(!cache && taken);
    const std::array<pp_status, 4> statuses = {
        thrown_by([&] { cache.length(); }), thrown_by([&] { cache.fork(); }),
        thrown_by([] { Session().run(span<Item>()); }), thrown_by([] { Session{Model()}; })};
    for (pp_status status : statuses)
        ck_assert_int_eq(status, PP_ERR_ARG);
    cache = taken.fork(3); /* an empty object may be assigned to */
    other.set_cache(std::move(cache));
    other.set_tokens(PROMPTS[1]);
    session.run(other);
    ck_assert_int_eq(pp_kvcache_length(other.cache), 5);
    Cache by_hand(taken.release());
    ck_assert_ptr_null(taken.get());
    const std::vector<float> before = bits_of(by_hand);
    session = Session(); /* the cache keeps the session's memory */
    ck_assert(same_bits(bits_of(by_hand), before));
}
END_TEST

START_TEST(what_is_empty_or_cut_off_is_refused)
{
    Session session = new_session();
    Plan plan;
    Cancel cancel(nullptr);
    RunOptions with_plan, with_cancel;
    with_plan.plan = &plan;
    with_cancel.cancel = &cancel;
    Item item(PROMPTS[0]);
    const std::string path("model\0else", 10);
    ck_assert_int_eq(thrown_by([&] { session.run(item, with_plan); }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([&] { session.run(item, with_cancel); }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([&] { Model{path}; }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([&] { Cache::load(session, path); }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([&] { Cache::zeros(session, 3).save(path); }), PP_ERR_ARG);
    session.run(item);
    ck_assert_int_eq(pp_kvcache_length(item.cache), 9);
}
END_TEST

START_TEST(callbacks_may_throw)
{
    Session session = new_session();
    std::vector<Item> items(1);
    items[0].set_tokens(PROMPTS[0]);
    items[0].output = PP_OUTPUT_ALL_LOGITS;
    RunOptions options;
    int64_t n_rows = 0, n_told = 0;
    options.sink = [&](const pp_logits &piece) {
        n_rows += piece.n_rows;
        return true;
    };
    options.progress = [&](int64_t done, int64_t) { n_told = done; };
    session.run(items, options);
    ck_assert_int_eq(n_rows, 9);
    ck_assert_int_eq(n_told, 9);
    options.sink = [](const pp_logits &) { return false; };
    ck_assert_int_eq(thrown_by([&] { session.run(items, options); }), PP_ERR_CANCELLED);
    options.sink = [](const pp_logits &) -> bool { throw std::out_of_range("from the sink"); };
    for (int round = 0; round < 2; round++) {
        try {
            session.run(items, options);
            ck_abort_msg("the exception was lost");
        } catch (const std::logic_error &error) {
            ck_assert_str_eq(error.what(), round ? "from progress" : "from the sink");
        }
        options.sink = nullptr;
        items[0].output = PP_OUTPUT_NONE;
        options.progress = [](int64_t, int64_t) { throw std::logic_error("from progress"); };
    }
    const Cancel cancel;
    ck_assert(!cancel.is_requested());
    cancel.request();
    options = RunOptions();
    options.cancel = &cancel;
    ck_assert_int_eq(thrown_by([&] { session.run(items, options); }), PP_ERR_CANCELLED);
    session.run(items);
}
END_TEST

START_TEST(caches_are_saved_and_forked)
{
    Session session = new_session(), second = new_session();
    const std::vector<Cache> caches = prefill(session, PROMPTS);
    const std::string path = "test_cpp_cache.safetensors";
    caches[0].save(path, PROMPTS[0]);
    Ids ids(9);
    auto info = defaults<pp_kvcache_file_info>();
    call(pp_kvcache_inspect, path.c_str(), &info, ids.data(), count(ids.size()));
    ck_assert(ids == PROMPTS[0] && info.model == session.model().identity());
    ck_assert(same_bits(bits_of(Cache::load(second, path)), bits_of(caches[0])));
    std::remove(path.c_str());
    const std::vector<unsigned char> bytes = caches[1].to_bytes();
    ck_assert(same_bits(bits_of(Cache::from_bytes(second, bytes)), bits_of(caches[1])));
    Cache zeros = Cache::zeros(session, 2);
    const std::vector<float> keys(static_cast<size_t>(session.model().layer(0).n_kv_heads *
                                                      session.model().layer(0).head_dim),
                                  0.5f);
    zeros.write(0, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 1, 1, keys.data(),
                keys.size() * sizeof(float));
    ck_assert_float_eq(zeros.read(0, PP_KV_K)[keys.size()], 0.5f);
    ck_assert_int_eq(zeros.page(0, PP_KV_K, 1).n_tokens, 2);
    Cache fork = caches[0].fork();
    fork.truncate(4);
    ck_assert_int_eq(fork.length() + caches[0].length(), 13);
    ck_assert(fork.bytes() > 0 && fork.first_token(0) == 0);
}
END_TEST

START_TEST(states_say_where_a_cache_can_be_cut)
{
    const Session session(Model::random(
        "{\"model_type\": \"qwen3_5_text\", \"num_hidden_layers\": 2, "
        "\"full_attention_interval\": 2, \"linear_num_key_heads\": 2, "
        "\"linear_num_value_heads\": 4, \"linear_key_head_dim\": 8, \"linear_value_head_dim\": 8, "
        "\"max_position_embeddings\": 128, \"vocab_size\": 96, \"hidden_size\": 48, "
        "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
        "\"head_dim\": 16}"));
    Cache cache = Cache::zeros(session, 5);
    std::vector<float> state(4 * 8 * 8, 0.5f), same(state.size());
    cache.write_state(0, PP_STATE_RECURRENT, state);
    cache.read_state(0, PP_STATE_RECURRENT, same);
    ck_assert(state == same);
    ck_assert_int_eq(cache.kept(4), 0);
    ck_assert_int_eq(thrown_by([&] { cache.truncate(4); }), PP_ERR_ARG);
    ck_assert_int_eq(thrown_by([&] { cache.fork(4); }), PP_ERR_ARG);
    ck_assert_int_eq(cache.length(), 5);
    cache.truncate(cache.kept(4));
    ck_assert_int_eq(cache.length(), 0);
}
END_TEST

START_TEST(plans_and_batches_are_views)
{
    auto params = defaults<pp_packer_params>();
    params.capacity = 9;
    const Plan plan = Packer(params).plan(std::vector<int64_t>{9, 2, 4});
    ck_assert_int_eq(plan.info().n_bins, 2);
    std::set<int32_t> seen;
    for (int64_t b = 0; b < 2; b++)
        for (int32_t prompt : plan.bin(b))
            seen.insert(prompt);
    ck_assert_uint_eq(seen.size(), 3);
    ck_assert_int_eq(plan.bin_info(1).tokens, 6);
    ck_assert_int_eq(plan.segment(plan.ends()[2]).prompt, 2);
    auto info = defaults<pp_partition_info>();
    const std::vector<int32_t> workers = plan.partition(2, &info);
    ck_assert(workers[0] != workers[1] && info.n_workers == 2);
    const Plan copy = Plan::from_json(plan.to_json());
    ck_assert(copy.to_json() == plan.to_json());
    const Batch batch(plan, PROMPTS);
    ck_assert_int_eq(batch.view().n_tokens, 15);
    ck_assert_uint_eq(batch.mask(PP_DTYPE_BOOL).size(), 15 * 15);
    ck_assert_int_eq(thrown_by([&] { Batch(plan, std::vector<Ids>{{1}}); }), PP_ERR_ARG);
}
END_TEST

START_TEST(spans_view_what_is_there)
{
    Ids ids = {4, 5, 6};
    const int32_t plain[] = {7, 8};
    const span<int32_t> all(ids);
    all[1] = 50;
    const span<const int32_t> same(all), two(plain), part = same.subspan(1, 2);
    ck_assert(ids[1] == 50 && two.size() == 2 && part[1] == 6 && !part.empty());
    static_assert(!std::is_constructible_v<span<int32_t>, const Ids &>);
    static_assert(!std::is_constructible_v<span<int32_t>, Ids>);
    static_assert(!std::is_constructible_v<span<pp_item>, std::vector<Item> &>);
    static_assert(std::is_convertible_v<std::vector<Item> &, span<Item>>);
}
END_TEST

/* Whether a view of a T that nobody keeps can be asked for. */
template <class T, class = void> static constexpr bool lends_bins = false;
template <class T>
static constexpr bool lends_bins<T, std::void_t<decltype(std::declval<T>().bin(0))>> = true;

START_TEST(views_of_what_is_gone_cannot_be_had)
{
    static_assert(lends_bins<Plan &> && lends_bins<const Plan &> && !lends_bins<Plan>);
    static_assert(!std::is_copy_constructible_v<Step>);
    auto params = defaults<pp_queue_params>();
    params.capacity = 10;
    const Queue queue(params);
    ck_assert(queue.add(7, 10));
    Step step(4);
    ck_assert(queue.wait(step));
    const Step moved = std::move(step);
    ck_assert_uint_eq(moved.prompts().size(), 1);
    ck_assert_int_eq(moved.prompts()[0].id, 7);
    ck_assert(step.prompts().empty());
    ck_assert_int_eq(thrown_by([&] { queue.next(0, step); }), PP_ERR_ARG);
}
END_TEST

START_TEST(a_queue_serves_threads)
{
    auto params = defaults<pp_queue_params>();
    params.capacity = 64;
    params.max_waiting = 8;
    const Queue queue(params);
    std::array<std::set<int64_t>, 2> taken;
    std::vector<std::thread> threads;
    for (auto &mine : taken)
        threads.emplace_back([&queue, &mine] {
            Step step(16);
            while (queue.wait(step)) {
                ck_assert_int_le(step.info().used, 64);
                for (const pp_step_prompt &prompt : step.prompts())
                    mine.insert(prompt.id);
            }
        });
    std::vector<std::thread> clients;
    for (int64_t client = 0; client < 3; client++)
        clients.emplace_back([&queue, client] {
            for (int64_t i = 0; i < 100; i++)
                while (!queue.add(client * 100 + i, 1 + i % 60))
                    std::this_thread::yield();
        });
    for (std::thread &client : clients)
        client.join();
    queue.close();
    for (std::thread &thread : threads)
        thread.join();
    ck_assert_uint_eq(taken[0].size() + taken[1].size(), 300);
    ck_assert_int_eq(queue.stats().handed_out, 300);
    ck_assert(!queue.cancel(7));
    Step step(1);
    ck_assert_int_eq(queue.next(0, step), PP_GONE);
    ck_assert_int_eq(thrown_by([&] { queue.add(1, 1); }), PP_ERR_CANCELLED);
    ck_assert_int_eq(thrown_by([&] { Queue(defaults<pp_queue_params>()); }), PP_ERR_ARG);
}
END_TEST

START_TEST(structs_have_their_defaults)
{
    ck_assert_int_eq(defaults<pp_batch_params>().n_bins, -1);
    ck_assert_int_eq(defaults<pp_attention_plan_params>().window_left, -1);
    ck_assert_int_eq(defaults<pp_cost_model>().tile, 1);
    ck_assert_uint_eq(defaults<pp_item>().struct_size, sizeof(pp_item));
    const std::vector<pp_device_info> all = devices();
    ck_assert_str_eq(all[0].device, "cpu");
    const Session session = new_session();
    ck_assert_int_eq(session.info().n_threads, 1);
    auto cost = defaults<pp_cost_model>();
    ck_assert_int_eq(thrown_by([&] { call(pp_cost_from_json, "{}", size_t{2}, &cost); }),
                     PP_ERR_FORMAT);
}
END_TEST

int main()
{
    Suite *suite = suite_create("c++");
    TCase *tests = tcase_create("c++");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, alone_and_packed_are_the_same_bits);
    tcase_add_test(tests, helpers_give_what_runs_give);
    tcase_add_test(tests, generation_stops_where_it_is_told);
    tcase_add_test(tests, an_error_while_generating_names_the_prompt);
    tcase_add_test(tests, errors_say_what_and_where);
    tcase_add_test(tests, objects_own_their_handles);
    tcase_add_test(tests, what_is_empty_or_cut_off_is_refused);
    tcase_add_test(tests, callbacks_may_throw);
    tcase_add_test(tests, caches_are_saved_and_forked);
    tcase_add_test(tests, states_say_where_a_cache_can_be_cut);
    tcase_add_test(tests, plans_and_batches_are_views);
    tcase_add_test(tests, spans_view_what_is_there);
    tcase_add_test(tests, views_of_what_is_gone_cannot_be_had);
    tcase_add_test(tests, a_queue_serves_threads);
    tcase_add_test(tests, structs_have_their_defaults);
    suite_add_tcase(suite, tests);
    return tap_run(suite, CK_NOFORK);
}
