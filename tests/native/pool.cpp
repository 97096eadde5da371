// The threads of the pool under many quick calls, from several callers at once, with more and fewer parts than before:
// every part is done once, parts that run together can wait for each other, and no call begins before its caller's last
// one is done.
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

}  // namespace

int main(int arguments, char** values) {
  const int rounds = arguments > 1 ? std::atoi(values[1]) : 2000;
  for (int callers : {1, 4}) {
    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller)
      threads.emplace_back([=] {
        for (int round = 0; round < rounds; ++round) call(caller, round);
      });
    for (std::thread& thread : threads) thread.join();
  }
  expect(together >= rounds / 2, "hardly a call had the threads");
  std::printf("pool: %d rounds of one caller and of four, %d of them together\n", rounds, together.load());
}
