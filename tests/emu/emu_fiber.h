/*
 * emu_fiber.h: fibers: stacks that run one at a time and hand over to each other by name.
 *
 * On x86-64 the switch is a few instructions; elsewhere it is ucontext. Stacks have a guard page
 * below them and are kept until the process ends. Under AddressSanitizer every switch is announced.
 */
#ifndef TEST_EMU_FIBER_H
#define TEST_EMU_FIBER_H

#include <stddef.h>

namespace hw {
namespace emu {

struct fiber {
    void *context; /* saved stack pointer, or a ucontext_t */
    char *bottom;  /* lowest address of the stack */
    size_t bytes;
    bool owns_stack;  /* false: the stack of whoever launches */
    void *fake_stack; /* of AddressSanitizer */
    void (*run)(void *);
    void *arg;
};

/* Makes run(arg) what happens when the fiber is switched to for the first time; run never returns.
 * Called again, the fiber starts over. false: no memory. */
bool fiber_make(fiber *f, void (*run)(void *), void *arg);

/* Leaves `from`, which must be the one that runs, and goes on in `to`. */
void fiber_switch(fiber *from, fiber *to);

} // namespace emu
} // namespace hw

#endif
