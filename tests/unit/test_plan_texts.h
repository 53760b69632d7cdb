/*
 * test_plan_texts.h: plans as JSON, for the tests that read them.
 */
#ifndef TEST_PLAN_TEXTS_H
#define TEST_PLAN_TEXTS_H

/* All that a plan has besides its arrays; the object is left open. */
#define HEAD                                                                                       \
    "{\"format\":\"prepack-plan\",\"version\":1,\"objective\":\"fewest\",\"policy\":\"ffd\","      \
    "\"capacity\":10,\"prompt_alignment\":1,\"bin_alignment\":1,\"cost\":{\"per_pass\":0,"         \
    "\"per_token\":1,\"per_square\":0,\"per_prompt\":0,\"tile\":1,\"error\":0,\"device\":\"\","    \
    "\"model\":\"\"}"

/* Three prompts, of which 0 and 1 share 4 tokens, and one of 25 tokens in chunks. */
#define PARTS                                                                                      \
    HEAD ",\"lengths\":[7,6,4,25],\"bins\":[[0,3],[0,1,2],[3],[3]],"                               \
         "\"segments\":{\"first_tokens\":[0,0,4,4,0,6,16],\"n_tokens\":[4,6,3,2,4,10,9],"          \
         "\"after\":[-1,-1,0,0,-1,1,5],\"ends\":[2,3,4,6]}}"

#endif
