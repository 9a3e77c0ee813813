// The add-on for Node: the engine, mapped files and what is known of the processor, through Node-API. Knows
// JavaScript values and passes on; what the arguments mean is said in src/base/addon.ts.
#include "addon/files.h"
#include "addon/plans.h"

namespace fovea::js {

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

napi_value cores(const Arguments& a) { return number_value(a.env, available_cores()); }

napi_value isas(const Arguments& a) {
  std::string names;
  for (const KernelTable* table : supported_kernels()) names += (names.empty() ? "" : " ") + std::string(table->isa);
  return text_value(a.env, names);
}

napi_value ops(const Arguments& a) { return text_value(a.env, op_list); }

struct {
  const char* name;
  napi_callback run;
} const functions[] = {
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

}  // namespace fovea::js

NAPI_MODULE_INIT() {
  for (const auto& function : fovea::js::functions) {
    napi_value value;
    if (napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.run, nullptr, &value) != napi_ok ||
        napi_set_named_property(env, exports, function.name, value) != napi_ok)
      return nullptr;
  }
  return exports;
}
