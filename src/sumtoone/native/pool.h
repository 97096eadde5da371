// Threads that wait for work: a call costs a wake-up, not a creation, and calls in quick succession not even that.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace sumtoone {

// Watches for something that another thread is about to do, and gives the core away now and then to whoever else wants it;
// true when it has happened, false after a millisecond. Waking a sleeping thread takes a tenth of that, and more where
// the core of a virtual machine has gone to sleep with it.
template <class Happened>
inline bool watch_for(Happened happened) {
  constexpr int kTries = 2000;
  constexpr std::chrono::milliseconds kPatience(1);
  for (int tries = 0; tries < kTries; ++tries) {
    if (happened()) return true;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }
  for (const auto end = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < end;) {
    if (happened()) return true;
    std::this_thread::yield();
  }
  return false;
}

class Pool {
 public:
  // Runs work(part), which throws nothing, for part = 0 … parts - 1, part 0 on the calling thread, and returns when all
  // are done. One caller at a time; another one meanwhile does all its parts itself.
  void run(int parts, const std::function<void(int)>& work) {
    const int together = ready(parts);
    const auto in_turn = [&](int first) {
      for (int part = first; part < parts; part += together) work(part);
    };
    if (together == parts ? run_together(parts, work) : run_together(together, in_turn)) return;
    for (int part = 0; part < parts; ++part) work(part);
  }

  // How many of so many parts can run at the same time: fewer where the system gives no more threads, which is not
  // asked again for a while. What it gave stays.
  int ready(int parts) {
    constexpr std::chrono::seconds kWhile(1);
    std::unique_lock<std::mutex> turn(turn_, std::defer_lock);
    if (threads_ < parts - 1 && turn.try_lock() && std::chrono::steady_clock::now() >= ask_again_) try {
        for (; threads_ < parts - 1; ++threads_)
          std::thread([this, part = threads_ + 1, born = round_.load()] { serve(part, born); }).detach();
      } catch (const std::exception&) {
        ask_again_ = std::chrono::steady_clock::now() + kWhile;
      }
    return std::min(parts, threads_ + 1);
  }

  // Runs as many parts as are ready, all at the same time, so that they may wait for each other; false, with nothing
  // done, where that is a single one or the threads are at another caller's work.
  bool run_together(int parts, const std::function<void(int)>& work) {
    std::unique_lock<std::mutex> turn(turn_, std::defer_lock);
    if (parts < 2 || parts > threads_ + 1 || !turn.try_lock()) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      parts_ = parts;
      left_ = parts - 1;
      ++round_;
    }
    wake_.notify_all();
    work(0);
    if (!watch_for([this] { return left_ == 0; })) {
      std::unique_lock<std::mutex> lock(mutex_);
      done_.wait(lock, [this] { return left_ == 0; });
    }
    return true;
  }

  // The one pool of this process. A forked child has none of its parent's threads, so it begins a pool of its own;
  // the parent's is left alone, for its locks may be held by threads that are not there.
  static Pool& shared() {
    static std::once_flag once;
    std::call_once(once, [] {
      current() = new Pool;
#if !defined(_WIN32)
      pthread_atfork(nullptr, nullptr, [] { current() = new Pool; });
#endif
    });
    return *current();
  }

 private:
  static Pool*& current() {
    static Pool* pool = nullptr;
    return pool;
  }

  // `seen` is the last round this thread has no part in.
  void serve(int part, uint64_t seen) noexcept {
    for (;;) {
      const std::function<void(int)>* work = nullptr;
      watch_for([&] { return round_ != seen; });
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_ != seen; });
        seen = round_;
        if (part >= parts_) continue;
        work = work_;
      }
      (*work)(part);
      if (--left_ != 0) continue;
      std::lock_guard<std::mutex> lock(mutex_);  // or it might be said between the caller's look and its sleep
      done_.notify_one();
    }
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<int> threads_{0};
  std::chrono::steady_clock::time_point ask_again_{};
  const std::function<void(int)>* work_ = nullptr;
  int parts_ = 0;
  std::atomic<int> left_{0};
  std::atomic<uint64_t> round_{0};
};

// Where threads wait for each other, many times a millisecond.
class Barrier {
 public:
  explicit Barrier(int parts) : parts_(parts) {}

  void wait() {
    if (parts_ == 1) return;
    const unsigned round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == parts_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    while (!watch_for([&] { return round_.load(std::memory_order_acquire) != round; })) {
    }
  }

 private:
  const int parts_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
};

}  // namespace sumtoone
