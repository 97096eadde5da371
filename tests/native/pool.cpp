// The threads of the pool under many quick calls, from several callers at once, with more and fewer parts than before:
// every part is done once, parts that run together can wait for each other, and no call begins before its caller's last
// one is done. Where the system gives no more threads, those that are there do it all.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "pool.h"

namespace {

using sumtoone::Barrier;
using sumtoone::Pool;

std::atomic<int> together{0};

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "pool: %s\n", what);
  std::_Exit(1);
}

// Longer than threads watch for work before they sleep, and than a caller watches for them.
void dawdle() { std::this_thread::sleep_for(std::chrono::microseconds(1500)); }

void call(int caller, int round) {
  const int parts = round % 5 + 1, slow = round % 97 == 0 ? round / 97 % parts : -1;
  // No atomics: that a part's writes are seen by the caller, and the caller's by the parts, is what is tested.
  std::vector<int> done((size_t)parts);
  const auto work = [&](int part) {
    if (part == slow) dawdle();
    ++done[(size_t)part];
  };
  if ((caller + round) % 2) {
    Pool::shared().run(parts, work);
  } else {
    Barrier barrier(parts);
    if (Pool::shared().ready(parts) < parts) return;
    const bool run = Pool::shared().run_together(parts, [&](int part) {
      work(part);
      barrier.wait();
      for (int times : done) expect(times == 1, "parts that run together do not see each other's work");
    });
    if (!run) return;
    ++together;
  }
  for (int times : done) expect(times == 1, "a part was not done once");
  if (round % 101 == 0) dawdle();
}

// The system refuses threads whose stack fits into no memory.
void refuse_threads() {
#if defined(__GLIBC__)
  pthread_attr_t as_they_are, huge;
  pthread_getattr_default_np(&as_they_are);
  pthread_getattr_default_np(&huge);
  pthread_attr_setstacksize(&huge, (size_t)1 << 47);
  for (int there : {1, 2}) {
    Pool& pool = *new Pool;  // its threads wait for ever
    expect(pool.ready(there) == there, "there were no threads to begin with");
    pthread_setattr_default_np(&huge);
    for (int again = 0; again < 100; ++again) {
      std::vector<int> done(5);
      std::atomic<int> threads{0};
      static thread_local int seen = 0;
      pool.run(5, [&](int part) {
        ++done[(size_t)part];
        threads += seen != 100 * there + again;
        seen = 100 * there + again;
      });
      for (int times : done) expect(times == 1, "a part was not done once without more threads");
      expect(threads == there, "other threads than there are did it");
      expect(pool.ready(5) == there, "more are ready than there are");
    }
    pthread_setattr_default_np(&as_they_are);
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    expect(pool.ready(5) == 5, "they were not asked for again");
  }
#endif
}

}  // namespace

int main(int arguments, char** values) {
  const int rounds = arguments > 1 ? std::atoi(values[1]) : 2000;
  refuse_threads();
  for (int callers : {1, 4}) {
    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller)
      threads.emplace_back([=] {
        for (int round = 0; round < rounds; ++round) call(caller, round);
      });
    for (std::thread& thread : threads) thread.join();
  }
  expect(together >= rounds / 3, "hardly a call had the threads");
  std::printf("pool: %d rounds of one caller and of four, %d of them together\n", rounds, together.load());
}
