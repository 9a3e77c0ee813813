// Plans as JavaScript holds them, and the choices and times of their products.
#pragma once
#include "engines.h"

namespace fovea::js {

/** A plan as JavaScript holds it. */
struct Prepared {
  /** Only its engine may run it. */
  const Host* host;
  std::shared_ptr<Plan> plan;
};

/**
 * (engine, words, arenaBytes, uploadPlaces, uploads, outputPlaces, outputs, nanoseconds): a plan. Places are
 * numbers: an offset in the arena for each upload; a buffer and an offset for each output. The arrays are not kept
 * alive by it.
 */
inline napi_value prepare(const Arguments& a) {
  Host* host = host_of(a);
  auto prepared = std::make_unique<Prepared>(Prepared{host, std::make_shared<Plan>()});
  Plan& plan = *prepared->plan;
  size_t count, upload_count, output_count;
  const double* words = a.numbers(1, count);
  plan.words.assign(words, words + count);
  plan.arena_bytes = a.size(2);
  const double *upload_places = a.numbers(3, upload_count), *output_places = a.numbers(5, output_count);
  if (a.length(4) != upload_count || 2 * a.length(6) != output_count) fail(a.env, "prepare: places are missing");
  for (uint32_t i = 0; i < upload_count; i++) {
    Bytes bytes = a.bytes_in(4, i);
    plan.uploads.push_back({size_t(upload_places[i]), bytes.data, bytes.length});
  }
  for (uint32_t i = 0; i < output_count / 2; i++) {
    Bytes bytes = a.bytes_in(6, i);
    plan.outputs.push_back(
        {int64_t(output_places[2 * i]), size_t(output_places[2 * i + 1]), bytes.data, bytes.length});
  }
  if (!a.absent(7)) plan.nanoseconds = reinterpret_cast<double*>(a.bytes(7).data);
  std::string problem;
  if (!host->engine->check(plan, problem)) fail(a.env, problem);
  auto finalize = [](napi_env, void* data, void*) { delete static_cast<Prepared*>(data); };
  napi_value external;
  check(a.env, napi_create_external(a.env, prepared.get(), finalize, nullptr, &external));
  prepared.release();
  return external;
}

/** (engine, plan, kept): undefined when the plan has run at once; else a promise, which keeps `kept` alive. */
inline napi_value run(const Arguments& a) {
  Host* host = host_of(a);
  void* data;
  check(a.env, napi_get_value_external(a.env, a.values[1], &data));
  auto* prepared = static_cast<Prepared*>(data);
  if (prepared->host != host) fail(a.env, "run: the plan was prepared for another engine");
  std::string problem;
  if (!host->engine->check(*prepared->plan, problem)) fail(a.env, problem);
  if (host->engine->run_here(*prepared->plan, problem)) return nullptr;
  if (!problem.empty()) fail(a.env, problem);
  napi_value promise;
  auto ticket = std::make_shared<Ticket>();
  check(a.env, napi_create_reference(a.env, a.values[2], 1, &ticket->kept));
  check(a.env, napi_create_promise(a.env, &ticket->deferred, &promise));
  submit(host, prepared->plan, ticket);
  return promise;
}

inline TuningTable& tuning_of(const Arguments& a) {
  Engine& engine = *host_of(a)->engine;
  if (!engine.idle()) fail(a.env, "choices and times of products are there only while nothing runs");
  return engine.tuning();
}

constexpr size_t shape_numbers = 7, choice_numbers = 4;

/** (engine, numbers): for each choice a shape (dtype code, m, k, experts, gated, rows, threads) and four numbers. */
inline napi_value tune(const Arguments& a) {
  TuningTable& tuning = tuning_of(a);
  size_t count;
  const double* at = a.numbers(1, count);
  std::vector<Tuned> choices;
  for (const double* end = at + count; at + shape_numbers + choice_numbers <= end; at += shape_numbers + choice_numbers) {
    Tuned t;
    t.shape.dtype = int32_t(at[0]), t.shape.m = int64_t(at[1]), t.shape.k = int64_t(at[2]);
    t.shape.experts = int32_t(at[3]), t.shape.gated = int32_t(at[4]), t.shape.rows = int32_t(at[5]);
    t.shape.threads = int32_t(at[6]);
    t.choice.ahead = int32_t(at[7]), t.choice.panels = int32_t(at[8]);
    t.choice.step = int32_t(at[9]), t.choice.tiles = int32_t(at[10]);
    choices.push_back(t);
  }
  std::string problem;
  if (!tuning.choose(choices, problem)) fail(a.env, problem);
  return nullptr;
}

/** (engine, room): times of so many products are noted from now on. */
inline napi_value note(const Arguments& a) {
  tuning_of(a).note(a.size(1));
  return nullptr;
}

/** (engine): for each product that was noted its shape, as in `tune`, and nanoseconds. */
inline napi_value noted(const Arguments& a) {
  std::vector<Sample> samples = tuning_of(a).noted();
  napi_value buffer, array;
  void* data;
  size_t count = samples.size() * (shape_numbers + 1);
  check(a.env, napi_create_arraybuffer(a.env, 8 * count, &data, &buffer));
  double* to = static_cast<double*>(data);
  for (const Sample& s : samples)
    for (double x : {double(s.shape.dtype), double(s.shape.m), double(s.shape.k), double(s.shape.experts),
                     double(s.shape.gated), double(s.shape.rows), double(s.shape.threads), s.nanoseconds})
      *to++ = x;
  check(a.env, napi_create_typedarray(a.env, napi_float64_array, count, buffer, 0, &array));
  return array;
}

}  // namespace fovea::js
