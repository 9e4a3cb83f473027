//! Tasks, wakes, loops, shutdown. Knows no jobs.
