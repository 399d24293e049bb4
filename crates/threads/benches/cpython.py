"""The benchmark's work in Python: cpython.py submit|latency|queue SIZE WORKERS

Started by `cargo bench -p towline-threads`. Prints a line for each figure; times are nanoseconds.
"""

import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

try:
    import resource
except ImportError:  # not on Windows
    resource = None

BOUND = 1024


def switches():
    if resource is None:
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw, usage.ru_nivcsw


def meter(units, work):
    """Does `work`, which is so many units, and returns its figures."""
    before = switches()
    start = time.perf_counter_ns()
    work()
    elapsed = time.perf_counter_ns() - start
    figures = {"main": elapsed / units}
    add_switches(figures, before, units)
    return figures


def add_switches(figures, before, units):
    after = switches()
    if before is not None:
        figures["voluntary"] = (after[0] - before[0]) / units
        figures["involuntary"] = (after[1] - before[1]) / units


def same(number):
    return number


def submit(size, workers):
    with ThreadPoolExecutor(workers) as pool:

        def run(tasks):
            futures = [pool.submit(same, number) for number in range(tasks)]
            total = sum(future.result() for future in futures)
            assert total == sum(range(tasks))

        run(size // 10)
        return meter(size, lambda: run(size))


def latency(size, workers):
    with ThreadPoolExecutor(workers) as pool:

        def time_one(number):
            start = time.perf_counter_ns()
            result = pool.submit(same, number).result()
            elapsed = time.perf_counter_ns() - start
            assert result == number
            return elapsed

        for number in range(size // 10):
            time_one(number)
        before = switches()
        times = [time_one(number) for number in range(size)]
        figures = {}
        add_switches(figures, before, size)
    times.sort()
    figures["main"] = percentile(times, 50)
    figures["p99"] = percentile(times, 99)
    return figures


def percentile(ordered, percent):
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[rank - 1]


def between_threads(size, workers):
    """`workers` threads put, as many take; every number is reported done."""
    numbers = queue.Queue(BOUND)
    each = size // workers
    size = each * workers
    start = threading.Barrier(2 * workers + 1)
    totals = []

    def put(first):
        start.wait()
        for number in range(first, first + each):
            numbers.put(number)

    def take():
        total = 0
        start.wait()
        # `shutdown` is only in Python 3.13 and later: a `None` for each thread does for all.
        while (number := numbers.get()) is not None:
            total += number
            numbers.task_done()
        totals.append(total)

    putters = [threading.Thread(target=put, args=(first,)) for first in range(0, size, each)]
    takers = [threading.Thread(target=take) for _ in range(workers)]
    for thread in putters + takers:
        thread.start()

    def work():
        start.wait()
        for thread in putters:
            thread.join()
        numbers.join()
        for _ in takers:
            numbers.put(None)
        for thread in takers:
            thread.join()

    figures = meter(size, work)
    assert sum(totals) == sum(range(size))
    return figures


def both_ends(size, workers):
    between_threads(size // 10, workers)
    return between_threads(size, workers)


def main():
    work, size, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    figures = {"submit": submit, "latency": latency, "queue": both_ends}[work](size, workers)
    for name, value in figures.items():
        print(name, value)


main()
