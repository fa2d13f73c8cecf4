"""The machine and this process: memory, processors, devices, child processes, the profiler."""
