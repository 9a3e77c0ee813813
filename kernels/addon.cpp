// The add-on for Node: the engine, mapped files and what is known of the processor, through Node-API. Knows
// JavaScript values and passes on; what the arguments mean is said in src/base/addon.ts.
#define NAPI_VERSION 8
#include <node_api.h>

#include <map>

#include "dispatch.h"
#include "engine.h"

using namespace fovea;

namespace {

/** An error that is already, or is to be, thrown in JavaScript. */
struct Thrown {};

[[noreturn]] void fail(napi_env env, const std::string& message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, nullptr, message.c_str());
  throw Thrown();
}

void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  fail(env, std::string("add-on: ") + (info && info->error_message ? info->error_message : "bad argument"));
}

struct Bytes {
  uint8_t* data;
  size_t length;
};

struct Arguments {
  napi_env env;
  napi_value values[10] = {};

  double number(int i) const {
    double x;
    check(env, napi_get_value_double(env, values[i], &x));
    return x;
  }
  size_t size(int i) const {
    double x = number(i);
    if (!(x >= 0 && x <= 9007199254740991.0)) fail(env, "add-on: a size is " + std::to_string(x));
    return size_t(x);
  }
  std::string text(int i) const {
    size_t length;
    check(env, napi_get_value_string_utf8(env, values[i], nullptr, 0, &length));
    std::string s(length, '\0');
    check(env, napi_get_value_string_utf8(env, values[i], &s[0], length + 1, &length));
    return s;
  }
  bool absent(int i) const {
    napi_valuetype type;
    check(env, napi_typeof(env, values[i], &type));
    return type == napi_undefined;
  }
  Bytes bytes(napi_value value) const {
    napi_typedarray_type type;
    size_t length;
    void* data;
    check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
    size_t size = type == napi_float64_array ? 8 : type == napi_float32_array || type == napi_int32_array ? 4 : 1;
    return {static_cast<uint8_t*>(data), length * size};
  }
  Bytes bytes(int i) const { return bytes(values[i]); }
  /** A Float64Array. */
  const double* numbers(int i, size_t& count) const {
    Bytes b = bytes(i);
    count = b.length / 8;
    return reinterpret_cast<const double*>(b.data);
  }
  uint32_t length(int i) const {
    uint32_t n;
    check(env, napi_get_array_length(env, values[i], &n));
    return n;
  }
  Bytes bytes_in(int i, uint32_t index) const {
    napi_value value;
    check(env, napi_get_element(env, values[i], index, &value));
    return bytes(value);
  }
};

napi_value number_value(napi_env env, double x) {
  napi_value value;
  check(env, napi_create_double(env, x, &value));
  return value;
}

napi_value text_value(napi_env env, const std::string& text) {
  napi_value value;
  check(env, napi_create_string_utf8(env, text.data(), text.size(), &value));
  return value;
}

/** Wraps a function of (env, arguments) for JavaScript. */
template <napi_value (*run)(const Arguments&)> napi_value call(napi_env env, napi_callback_info info) {
  Arguments arguments = {env};
  size_t count = sizeof arguments.values / sizeof *arguments.values;
  if (napi_get_cb_info(env, info, &count, arguments.values, nullptr, nullptr) != napi_ok) return nullptr;
  try {
    return run(arguments);
  } catch (const Thrown&) {
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, nullptr, "there is not enough memory");
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

// --- Mapped files

napi_value map_file_call(const Arguments& a) {
  size_t offset = a.size(1), length = a.size(2);
  napi_value buffer;
  void* unused;
  if (length == 0) {
    check(a.env, napi_create_arraybuffer(a.env, 0, &unused, &buffer));
    return buffer;
  }
  MappedFile file;
  std::string problem;
  if (!map_file(a.text(0).c_str(), offset, length, file, problem)) fail(a.env, problem);
  auto release = [](napi_env, void*, void* hint) {
    auto* file = static_cast<MappedFile*>(hint);
    unmap_file(*file);
    delete file;
  };
  auto* kept = new MappedFile(file);
  napi_status status = napi_create_external_arraybuffer(a.env, file.data, length, release, kept, &buffer);
  if (status != napi_ok) {
    release(a.env, nullptr, kept);
    check(a.env, status);
  }
  return buffer;
}

napi_value drop_pages_call(const Arguments& a) {
  void* data;
  size_t size, offset = a.size(1), length = a.size(2);
  check(a.env, napi_get_arraybuffer_info(a.env, a.values[0], &data, &size));
  if (offset > size || length > size - offset) fail(a.env, "dropPages: the range is outside the buffer");
  drop_pages(static_cast<uint8_t*>(data) + offset, length);
  return nullptr;
}

// --- Engines

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
  std::map<int64_t, napi_ref> adopted;
  int pending = 0;

  /** Ends the threads; nothing is called afterwards. */
  void close() {
    if (!engine) return;
    engine.reset();
    for (auto& [id, ref] : adopted) napi_delete_reference(env, ref);
    adopted.clear();
    napi_release_threadsafe_function(finished, napi_tsfn_abort);
  }
};

/** On the JavaScript thread, when a job has ended; `env` is null when the environment is going down. */
void settle(napi_env env, napi_value, void* context, void* data) {
  std::unique_ptr<std::shared_ptr<Ticket>> held(static_cast<std::shared_ptr<Ticket>*>(data));
  if (!env) return;
  const std::shared_ptr<Ticket>& ticket = *held;
  auto* host = static_cast<Host*>(context);
  if (--host->pending == 0 && host->engine) napi_unref_threadsafe_function(env, host->finished);
  if (ticket->kept) napi_delete_reference(env, ticket->kept);
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
void submit(Host* host, std::shared_ptr<Plan> plan, std::shared_ptr<Ticket> ticket) {
  napi_threadsafe_function finished = host->finished;
  auto done = [ticket, finished](std::string problem) {
    ticket->problem = std::move(problem);
    auto* held = new std::shared_ptr<Ticket>(ticket);
    if (napi_call_threadsafe_function(finished, held, napi_tsfn_nonblocking) != napi_ok) delete held;
  };
  std::string problem;
  if (!host->engine->submit(std::move(plan), done, problem)) fail(host->env, problem);
  if (host->pending++ == 0) napi_ref_threadsafe_function(host->env, finished);
}

void close_host(void* host) { static_cast<Host*>(host)->close(); }

Host* host_of(const Arguments& a) {
  void* host;
  check(a.env, napi_get_value_external(a.env, a.values[0], &host));
  if (!static_cast<Host*>(host)->engine) fail(a.env, "the engine is closed");
  return static_cast<Host*>(host);
}

int64_t buffer_of(const Arguments& a, Host* host, int i) {
  int64_t id = int64_t(a.size(i));
  if (!host->engine->knows(id)) fail(a.env, "there is no buffer " + std::to_string(id));
  return id;
}

/** (threads, isa): an engine, or the reason why not. */
napi_value create_engine(const Arguments& a) {
  std::string problem;
  const KernelTable* table = choose_kernels(a.text(1), problem);
  if (!table) fail(a.env, problem);
  auto host = std::make_unique<Host>();
  host->env = a.env;
  napi_value name = text_value(a.env, "fovea"), external;
  check(a.env, napi_create_threadsafe_function(a.env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, host.get(),
                                               settle, &host->finished));
  napi_unref_threadsafe_function(a.env, host->finished);
  try {
    host->engine = std::make_unique<Engine>(*table, int(a.size(0)));
  } catch (...) {
    napi_release_threadsafe_function(host->finished, napi_tsfn_abort);
    throw;
  }
  auto finalize = [](napi_env env, void* data, void*) {
    auto* host = static_cast<Host*>(data);
    napi_remove_env_cleanup_hook(env, close_host, host);
    host->close();
    delete host;
  };
  // Added after the function above was made, so that the threads end before it does.
  napi_add_env_cleanup_hook(a.env, close_host, host.get());
  check(a.env, napi_create_external(a.env, host.get(), finalize, nullptr, &external));
  host.release();
  return external;
}

napi_value close_engine(const Arguments& a) {
  host_of(a)->close();
  return nullptr;
}

napi_value engine_isa(const Arguments& a) { return text_value(a.env, host_of(a)->engine->table().isa); }

napi_value allocate(const Arguments& a) {
  std::string problem;
  int64_t id = host_of(a)->engine->allocate(a.size(1), problem);
  if (id == 0) fail(a.env, problem);
  return number_value(a.env, double(id));
}

napi_value adopt(const Arguments& a) {
  Host* host = host_of(a);
  Bytes bytes = a.bytes(1);
  napi_ref ref;
  check(a.env, napi_create_reference(a.env, a.values[1], 1, &ref));
  int64_t id = host->engine->adopt(bytes.data, bytes.length);
  host->adopted[id] = ref;
  return number_value(a.env, double(id));
}

/** Lets go of the array under an adopted buffer, when all that was submitted has run. */
void let_go(const Arguments& a, Host* host, int64_t id) {
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

napi_value free_buffer(const Arguments& a) {
  Host* host = host_of(a);
  int64_t id = buffer_of(a, host, 1);
  host->engine->free(id);
  let_go(a, host, id);
  return nullptr;
}

/** (engine, buffer, by) */
napi_value replace(const Arguments& a) {
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
napi_value write(const Arguments& a) {
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
napi_value prepare(const Arguments& a) {
  auto prepared = std::make_unique<Prepared>(Prepared{host_of(a), std::make_shared<Plan>()});
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
  auto finalize = [](napi_env, void* data, void*) { delete static_cast<Prepared*>(data); };
  napi_value external;
  check(a.env, napi_create_external(a.env, prepared.get(), finalize, nullptr, &external));
  prepared.release();
  return external;
}

/** (engine, plan, kept): undefined when the plan has run at once; else a promise, which keeps `kept` alive. */
napi_value run(const Arguments& a) {
  Host* host = host_of(a);
  void* data;
  check(a.env, napi_get_value_external(a.env, a.values[1], &data));
  auto* prepared = static_cast<Prepared*>(data);
  if (prepared->host != host) fail(a.env, "run: the plan was prepared for another engine");
  std::string problem;
  if (host->engine->run_here(*prepared->plan, problem)) return nullptr;
  if (!problem.empty()) fail(a.env, problem);
  napi_value promise;
  auto ticket = std::make_shared<Ticket>();
  check(a.env, napi_create_reference(a.env, a.values[2], 1, &ticket->kept));
  check(a.env, napi_create_promise(a.env, &ticket->deferred, &promise));
  try {
    submit(host, prepared->plan, ticket);
  } catch (...) {
    napi_delete_reference(a.env, ticket->kept);
    throw;
  }
  return promise;
}

constexpr size_t shape_numbers = 7, choice_numbers = 4;

/** (engine, numbers): for each choice a shape (dtype code, m, k, experts, gated, rows, threads) and four numbers. */
napi_value tune(const Arguments& a) {
  Host* host = host_of(a);
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
  if (!host->engine->tune(choices, problem)) fail(a.env, problem);
  return nullptr;
}

/** (engine, room): times of so many products are noted from now on. */
napi_value note(const Arguments& a) {
  std::string problem;
  if (!host_of(a)->engine->note(int(a.size(1)), problem)) fail(a.env, problem);
  return nullptr;
}

/** (engine): for each product that was noted its shape, as in `tune`, and nanoseconds. */
napi_value noted(const Arguments& a) {
  Host* host = host_of(a);
  if (!host->engine->idle()) fail(a.env, "noted: a plan is running");
  std::vector<Sample> samples = host->engine->noted();
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

/** (engine): [bytes in buffers, bytes in the arena]. */
napi_value memory(const Arguments& a) {
  Host* host = host_of(a);
  napi_value pair;
  check(a.env, napi_create_array_with_length(a.env, 2, &pair));
  check(a.env, napi_set_element(a.env, pair, 0, number_value(a.env, double(host->engine->buffer_bytes()))));
  check(a.env, napi_set_element(a.env, pair, 1, number_value(a.env, double(host->engine->arena_bytes()))));
  return pair;
}

/** (engine, dtype code, m, k): bytes of a matrix in panels, 0 for none. */
napi_value panel_bytes_call(const Arguments& a) {
  const KernelTable& table = host_of(a)->engine->table();
  return number_value(a.env, double(table.panel_bytes(DType(a.size(1)), int64_t(a.size(2)), int64_t(a.size(3)))));
}

napi_value panel_layout_call(const Arguments& a) { return text_value(a.env, host_of(a)->engine->table().layout); }

// --- What is known without an engine

napi_value cores(const Arguments& a) { return number_value(a.env, available_cores()); }

napi_value isas(const Arguments& a) {
  std::string names;
  for (const KernelTable* table : supported_kernels()) names += (names.empty() ? "" : " ") + std::string(table->isa);
  return text_value(a.env, names);
}

napi_value ops(const Arguments& a) { return text_value(a.env, op_list); }

}  // namespace

NAPI_MODULE_INIT() {
  struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"mapFile", call<map_file_call>},
      {"dropPages", call<drop_pages_call>},
      {"createEngine", call<create_engine>},
      {"closeEngine", call<close_engine>},
      {"engineIsa", call<engine_isa>},
      {"allocate", call<allocate>},
      {"adopt", call<adopt>},
      {"free", call<free_buffer>},
      {"replace", call<replace>},
      {"write", call<write>},
      {"prepare", call<prepare>},
      {"run", call<run>},
      {"tune", call<tune>},
      {"note", call<note>},
      {"noted", call<noted>},
      {"memory", call<memory>},
      {"panelBytes", call<panel_bytes_call>},
      {"panelLayout", call<panel_layout_call>},
      {"availableCores", call<cores>},
      {"isas", call<isas>},
      {"ops", call<ops>},
  };
  for (const auto& function : functions) {
    napi_value value;
    if (napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.call, nullptr, &value) != napi_ok ||
        napi_set_named_property(env, exports, function.name, value) != napi_ok)
      return nullptr;
  }
  return exports;
}
