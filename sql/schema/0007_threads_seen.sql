-- What a thread's row rests on is said by analytics.thread_durations alone.
DROP VIEW threads_seen;
