// Engines and their buffers as JavaScript holds them: what keeps arrays alive, how the end of a job reaches a
// promise, and what happens when an engine is closed, collected, or its process ends.
#pragma once
#include <map>
#include <set>

#include "../dispatch.h"
#include "../engine.h"
#include "values.h"

namespace fovea::js {

/** What a submitted job means to JavaScript. */
struct Ticket {
  /** The promise, when there is one. */
  napi_deferred deferred = nullptr;
  /** Keeps alive what the job uses: the plan's arrays, an adopted array that has been freed. */
  napi_ref kept = nullptr;
  std::string problem;
};

/** An engine as JavaScript holds it. */
struct Host {
  napi_env env;
  std::unique_ptr<Engine> engine;
  napi_threadsafe_function finished = nullptr;
  /** The arrays under adopted buffers, and what the tickets keep that are on their way. */
  std::map<int64_t, napi_ref> adopted;
  std::set<napi_ref> kept;
  int pending = 0;

  ~Host() { close(); }

  /** Ends the threads and lets go of all; nothing is called afterwards, but `settle` without an environment. */
  void close() {
    engine.reset();
    for (auto& [id, ref] : adopted) napi_delete_reference(env, ref);
    for (napi_ref ref : kept) napi_delete_reference(env, ref);
    adopted.clear();
    kept.clear();
    if (finished) napi_release_threadsafe_function(finished, napi_tsfn_abort);
    finished = nullptr;
  }
};

/** On the JavaScript thread, when a job has ended; `env` is null when the engine, or all, is going down. */
inline void settle(napi_env env, napi_value, void* context, void* data) {
  std::unique_ptr<std::shared_ptr<Ticket>> held(static_cast<std::shared_ptr<Ticket>*>(data));
  if (!env) return;
  const std::shared_ptr<Ticket>& ticket = *held;
  auto* host = static_cast<Host*>(context);
  if (--host->pending == 0 && host->engine) napi_unref_threadsafe_function(env, host->finished);
  if (ticket->kept && host->kept.erase(ticket->kept)) napi_delete_reference(env, ticket->kept);
  if (!ticket->deferred) return;
  napi_value value, text;
  if (ticket->problem.empty()) {
    napi_get_undefined(env, &value);
    napi_resolve_deferred(env, ticket->deferred, value);
  } else {
    napi_create_string_utf8(env, ticket->problem.data(), ticket->problem.size(), &text);
    napi_create_error(env, nullptr, text, &value);
    napi_reject_deferred(env, ticket->deferred, value);
  }
}

/** Gives the plan, or nothing, to the engine; the end reaches `settle` with the ticket. */
inline void submit(Host* host, std::shared_ptr<Plan> plan, std::shared_ptr<Ticket> ticket) {
  napi_threadsafe_function finished = host->finished;
  auto done = [ticket, finished](std::string problem) {
    ticket->problem = std::move(problem);
    auto* held = new std::shared_ptr<Ticket>(ticket);
    if (napi_call_threadsafe_function(finished, held, napi_tsfn_nonblocking) != napi_ok) delete held;
  };
  std::string problem;
  if (!host->engine->submit(std::move(plan), done, problem)) fail(host->env, problem);
  if (ticket->kept) host->kept.insert(ticket->kept);
  if (host->pending++ == 0) napi_ref_threadsafe_function(host->env, finished);
}

inline void close_host(void* host) { static_cast<Host*>(host)->close(); }

inline Host* host_of(const Arguments& a) {
  void* host;
  check(a.env, napi_get_value_external(a.env, a.values[0], &host));
  if (!static_cast<Host*>(host)->engine) fail(a.env, "the engine is closed");
  return static_cast<Host*>(host);
}

inline int64_t buffer_of(const Arguments& a, Host* host, int i) {
  int64_t id = int64_t(a.size(i));
  if (!host->engine->knows(id)) fail(a.env, "there is no buffer " + std::to_string(id));
  return id;
}

constexpr size_t most_threads = 1024;

/** (threads, isa): an engine, or the reason why not. */
inline napi_value create_engine(const Arguments& a) {
  std::string problem;
  const KernelTable* table = choose_kernels(a.text(1), problem);
  if (!table) fail(a.env, problem);
  size_t threads = a.size(0);
  if (threads < 1 || threads > most_threads) fail(a.env, "an engine has no " + std::to_string(threads) + " threads");
  auto host = std::make_unique<Host>();
  host->env = a.env;
  napi_value name = text_value(a.env, "fovea"), external;
  check(a.env, napi_create_threadsafe_function(a.env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, host.get(),
                                               settle, &host->finished));
  napi_unref_threadsafe_function(a.env, host->finished);
  host->engine = std::make_unique<Engine>(*table, int(threads));
  auto finalize = [](napi_env env, void* data, void*) {
    auto* host = static_cast<Host*>(data);
    napi_remove_env_cleanup_hook(env, close_host, host);
    delete host;
  };
  check(a.env, napi_create_external(a.env, host.get(), finalize, nullptr, &external));
  // Added after the function above was made, so that the threads end before it does.
  napi_add_env_cleanup_hook(a.env, close_host, host.release());
  return external;
}

inline napi_value close_engine(const Arguments& a) {
  host_of(a)->close();
  return nullptr;
}

inline napi_value engine_isa(const Arguments& a) { return text_value(a.env, host_of(a)->engine->table().isa); }

inline napi_value allocate(const Arguments& a) {
  std::string problem;
  int64_t id = host_of(a)->engine->allocate(a.size(1), problem);
  if (id == 0) fail(a.env, problem);
  return number_value(a.env, double(id));
}

inline napi_value adopt(const Arguments& a) {
  Host* host = host_of(a);
  Bytes bytes = a.bytes(1);
  napi_ref ref;
  check(a.env, napi_create_reference(a.env, a.values[1], 1, &ref));
  int64_t id = host->engine->adopt(bytes.data, bytes.length);
  host->adopted[id] = ref;
  return number_value(a.env, double(id));
}

/** Lets go of the array under an adopted buffer, when all that was submitted has run. */
inline void let_go(const Arguments& a, Host* host, int64_t id) {
  auto adopted = host->adopted.find(id);
  if (adopted == host->adopted.end()) return;
  napi_ref ref = adopted->second;
  host->adopted.erase(adopted);
  if (host->engine->idle()) {
    napi_delete_reference(a.env, ref);
    return;
  }
  auto ticket = std::make_shared<Ticket>();
  ticket->kept = ref;
  submit(host, nullptr, ticket);
}

inline napi_value free_buffer(const Arguments& a) {
  Host* host = host_of(a);
  int64_t id = buffer_of(a, host, 1);
  host->engine->free(id);
  let_go(a, host, id);
  return nullptr;
}

/** (engine, buffer, by) */
inline napi_value replace(const Arguments& a) {
  Host* host = host_of(a);
  int64_t id = buffer_of(a, host, 1), by = buffer_of(a, host, 2);
  if (!host->adopted.count(id) || host->adopted.count(by))
    fail(a.env, "only an adopted buffer can be replaced, and by one that is not");
  if (host->engine->bytes_of(id) != host->engine->bytes_of(by)) fail(a.env, "the buffers differ in size");
  host->engine->replace(id, by);
  let_go(a, host, id);
  return nullptr;
}

/** (engine, buffer, offset, bytes) */
inline napi_value write(const Arguments& a) {
  Host* host = host_of(a);
  int64_t id = buffer_of(a, host, 1);
  size_t offset = a.size(2), size = host->engine->bytes_of(id);
  Bytes bytes = a.bytes(3);
  if (host->adopted.count(id)) fail(a.env, "an adopted buffer is read-only");
  if (offset > size || bytes.length > size - offset)
    fail(a.env, std::to_string(bytes.length) + " bytes at " + std::to_string(offset) +
                    " do not fit a buffer of " + std::to_string(size));
  host->engine->write(id, offset, bytes.data, bytes.length);
  return nullptr;
}

}  // namespace fovea::js
