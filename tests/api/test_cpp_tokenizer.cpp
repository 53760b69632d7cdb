/*
 * test_cpp_tokenizer.cpp: the C++ interface of libprepack-tokenizer. argv[1]: the demo model.
 */
#include <prepack/tokenizer.hpp>

#include <cstring>

/* Behind all of C++: Check has a macro `fail`. */
#include "support/tap.h"

using namespace prepack;

static std::string model_dir;

START_TEST(text_becomes_ids_and_text_again)
{
    const Tokenizer tokenizer(model_dir);
    const std::string text = "The capital of Germany is Berlin.";
    const std::vector<int32_t> ids = tokenizer.encode(text);
    ck_assert_uint_gt(ids.size(), 3);
    ck_assert_int_eq(ids[0], tokenizer.info().bos_token);
    ck_assert(tokenizer.decode(ids) == text);
    auto how = defaults<pp_encode_params>();
    how.no_edges = 1;
    how.offsets = 1;
    const std::vector<const char *> texts = {"Germany", "", "is Berlin"};
    const Encoding encoding = tokenizer.encode_all(texts, how);
    ck_assert_uint_eq(encoding.size(), 3);
    ck_assert(encoding[1].empty() && encoding.offsets(1).empty());
    const span<const pp_text_range> ranges = encoding.offsets(2);
    ck_assert_uint_eq(ranges.size(), encoding[2].size());
    ck_assert_int_eq(ranges[ranges.size() - 1].end, 9);
    ck_assert(tokenizer.encode_all(texts)[0][0] == ids[0]);
    ck_assert_int_eq(tokenizer.id(tokenizer.token(ids[2])), ids[2]);
    ck_assert(tokenizer.token(-1).empty() && tokenizer.id("no such token") == -1);
    ck_assert(tokenizer.special(0).text != nullptr);
    auto spelled = defaults<pp_decode_params>();
    spelled.keep_special = 1;
    ck_assert(tokenizer.decode(ids, spelled) != text);
}
END_TEST

START_TEST(a_stream_gives_the_same_text)
{
    static_assert(!std::is_constructible_v<TextStream, Tokenizer> &&
                  std::is_constructible_v<TextStream, const Tokenizer &>);
    const Tokenizer tokenizer(model_dir);
    const std::vector<int32_t> ids = tokenizer.encode("naïve – 世界 🙂");
    TextStream stream(tokenizer);
    for (int round = 0; round < 2; round++) {
        std::string text;
        for (int32_t id : ids)
            text += stream.push(id);
        text += stream.finish();
        ck_assert(text == tokenizer.decode(ids));
    }
    TextStream moved(std::move(stream));
    ck_assert(moved.push(ids[1]).size() < 8);
    try {
        stream.push(1);
        ck_abort_msg("an empty stream took a token");
    } catch (const Error &error) {
        ck_assert_int_eq(error.status(), PP_ERR_ARG);
    }
}
END_TEST

START_TEST(errors_name_the_text)
{
    const Tokenizer tokenizer(model_dir);
    try {
        tokenizer.encode_all(std::vector<std::string>{"good", "bad \xff"});
        ck_abort_msg("a text that is not UTF-8 was taken");
    } catch (const Error &error) {
        ck_assert_int_eq(error.status(), PP_ERR_ARG);
        ck_assert_int_eq(error.index(), 1);
    }
    try {
        Tokenizer("no/such/tokenizer");
        ck_abort_msg("a tokenizer that is not there was opened");
    } catch (const Error &error) {
        ck_assert_ptr_nonnull(std::strstr(error.what(), "no/such/tokenizer"));
    }
}
END_TEST

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    model_dir = argv[1];
    Suite *suite = suite_create("c++ tokenizer");
    TCase *tests = tcase_create("c++ tokenizer");
    tcase_add_test(tests, text_becomes_ids_and_text_again);
    tcase_add_test(tests, a_stream_gives_the_same_text);
    tcase_add_test(tests, errors_name_the_text);
    suite_add_tcase(suite, tests);
    return tap_run(suite, CK_NOFORK);
}
