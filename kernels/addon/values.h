// JavaScript values for the add-on: arguments read with their types, errors thrown, functions wrapped.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <new>
#include <string>

namespace fovea::js {

/** An error that is already, or is to be, thrown in JavaScript. */
struct Thrown {};

[[noreturn]] inline void fail(napi_env env, const std::string& message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, nullptr, message.c_str());
  throw Thrown();
}

inline void check(napi_env env, napi_status status) {
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

inline napi_value number_value(napi_env env, double x) {
  napi_value value;
  check(env, napi_create_double(env, x, &value));
  return value;
}

inline napi_value text_value(napi_env env, const std::string& text) {
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

}  // namespace fovea::js
