/* stopwatch.h: seconds of a clock that only goes forward. */
#ifndef PREPACK_STOPWATCH_H
#define PREPACK_STOPWATCH_H

double seconds_now(void);

#endif
