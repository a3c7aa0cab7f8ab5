// Whole programs: threads agree, callers share, runs stop, faults are named.
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "error.hpp"
#include "isa.hpp"
#include "program.hpp"

namespace {

using namespace sangbo;

constexpr std::size_t kWidth = 48;
constexpr std::size_t kHeads = 3;
constexpr std::size_t kVocabulary = 50;

// A small attention block between a table and a head; everything random but the same each time.
struct Network {
  explicit Network(unsigned threads) : program(choose_kernels(""), threads) {
    const Axis rows = program.axis();
    const ValueId tokens = program.input("tokens", Kind::kIndex, {rows, 1}, 1);
    const std::size_t table = weight(kVocabulary, kWidth);
    ValueId x = program.embedding("x", tokens, table);
    for (int layer = 0; layer < 3; ++layer) {
      const ValueId n = neuron(program.norm("norm", x, false, ones(), {}, 1e-5F));
      ValueId part[3];
      for (ValueId& p : part) {
        p = neuron(program.linear("part", n, weight(kWidth, kWidth), {0.1F, {}}), 127);
      }
      const ValueId mixed =
          program.attention("attention", part[0], part[1], part[2],
                            {kHeads, kHeads, true, true, 255, 0.001F, 255.0F, 0.1F, {}});
      const ValueId y =
          program.linear("out", neuron(mixed), weight(kWidth, kWidth), {0.1F, ones()});
      x = program.binary("sum", x, y, false);
    }
    output = program.linear("logits", neuron(x), table, {0.1F, {}});
    program.output(output);
    program.finish();
  }

  std::size_t weight(std::size_t outputs, std::size_t inputs) {
    std::vector<std::uint8_t> values(outputs * inputs);
    for (std::uint8_t& v : values) {
      v = static_cast<std::uint8_t>(random() % 255U + 129U);
    }
    std::vector<float> scale(outputs);
    for (float& s : scale) {
      s = 0.001F + static_cast<float>(random() % 100U) * 0.0001F;
    }
    return program.weight(
        {values.data(), 8, outputs, inputs, inputs, scale.data(), nullptr, false});
  }

  ValueId neuron(ValueId input, std::int32_t highest = 1 << 20) {
    return program.neuron("neuron", input, {10.0F}, -highest, highest);
  }

  static std::vector<float> ones() { return std::vector<float>(kWidth, 1.0F); }

  std::vector<float> run(std::vector<std::int32_t> tokens, const std::vector<Segment>& segments,
                         Counts* counts = nullptr, const std::atomic<bool>* cancelled = nullptr) {
    std::vector<float> logits(tokens.size() * round_up(kVocabulary, kPanel));
    Call call;
    call.rows = {tokens.size()};
    call.externals = {reinterpret_cast<std::byte*>(tokens.data()),
                      reinterpret_cast<std::byte*>(logits.data())};
    call.segments = segments;
    call.counts = counts;
    call.cancelled = cancelled;
    program.run(call);
    return logits;
  }

  std::mt19937 random{3};
  Program program;
  ValueId output;
};

std::vector<std::int32_t> tokens_of(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& t : tokens) {
    t = static_cast<std::int32_t>(random() % kVocabulary);
  }
  return tokens;
}

// Prefill, then single rows: everything that a sequence gave.
std::vector<float> sequence(Network& network, unsigned seed, Counts* counts = nullptr) {
  const auto cache = network.program.cache(64);
  std::vector<float> all = network.run(tokens_of(20, seed), {{cache.get(), {20}}}, counts);
  for (unsigned i = 0; i < 20; ++i) {
    const auto more = network.run(tokens_of(1, seed + i), {{cache.get(), {1}}}, counts);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

bool equal(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void test_threads_agree() {
  Network one(1);
  const auto expected = sequence(one, 5);
  for (const float y : expected) {
    CHECK(std::isfinite(y), "a logit is not finite");
  }
  for (const unsigned threads : {2U, 4U}) {
    Network many(threads);
    for (int again = 0; again < 5; ++again) {
      CHECK(equal(sequence(many, 5), expected), "%u threads", threads);
    }
  }
}

void test_batch_equals_single() {
  Network network(2);
  const auto a = network.program.cache(64);
  const auto b = network.program.cache(64);
  std::vector<std::int32_t> tokens = tokens_of(7, 1);
  const std::vector<std::int32_t> second = tokens_of(12, 2);
  const auto first_alone = network.run(tokens, {{a.get(), {7}}});
  const auto second_alone = network.run(second, {{b.get(), {12}}});
  a->truncate(0);
  b->truncate(0);
  tokens.insert(tokens.end(), second.begin(), second.end());
  auto expected = first_alone;
  expected.insert(expected.end(), second_alone.begin(), second_alone.end());
  CHECK(equal(network.run(tokens, {{a.get(), {7}}, {b.get(), {12}}}), expected), "a batch of two");
}

void test_callers_share() {
  Network network(2);
  const auto counts = network.program.counts();
  const auto expected_a = sequence(network, 11);
  const auto expected_b = sequence(network, 12);
  std::atomic<int> wrong{0};
  std::vector<std::jthread> callers;
  for (unsigned c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      for (int again = 0; again < 5; ++again) {
        const bool even = c % 2 == 0;
        if (!equal(sequence(network, even ? 11 : 12, counts.get()),
                   even ? expected_a : expected_b)) {
          ++wrong;
        }
      }
    });
  }
  callers.clear();
  CHECK(wrong == 0, "%d sequences differ", wrong.load());
  CHECK(counts->take_totals()[0] == 4 * 5 * 40, "rows counted");
}

void test_cancellation() {
  Network network(2);
  const auto cache = network.program.cache(64);
  const std::atomic<bool> cancelled{true};
  bool stopped = false;
  try {
    network.run(tokens_of(5, 1), {{cache.get(), {5}}}, nullptr, &cancelled);
  } catch (const Error&) {
    stopped = true;
  }
  CHECK(stopped && cache->length() == 0, "a cancelled run went on");
  const auto fresh = network.program.cache(64);
  CHECK(equal(network.run(tokens_of(5, 1), {{cache.get(), {5}}}),
              network.run(tokens_of(5, 1), {{fresh.get(), {5}}})),
        "a run after a cancelled one");
}

void test_faults() {
  Network network(2);
  const auto cache = network.program.cache(64);
  for (const std::int32_t token : {-1, static_cast<std::int32_t>(kVocabulary)}) {
    std::string message;
    try {
      network.run({1, token}, {{cache.get(), {2}}});
    } catch (const Error& error) {
      message = error.what();
    }
    CHECK(message.find("'x'") != std::string::npos, "'%s'", message.c_str());
    CHECK(cache->length() == 0, "the cache grew");
  }
}

}  // namespace

int main() {
  test_threads_agree();
  test_batch_equals_single();
  test_callers_share();
  test_cancellation();
  test_faults();
  std::printf("programs: passed\n");
  return 0;
}
