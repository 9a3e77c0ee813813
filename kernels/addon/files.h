// Mapped files as array buffers.
#pragma once
#include "../memory.h"
#include "values.h"

namespace fovea::js {

inline napi_value map_file_call(const Arguments& a) {
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

inline napi_value drop_pages_call(const Arguments& a) {
  void* data;
  size_t size, offset = a.size(1), length = a.size(2);
  check(a.env, napi_get_arraybuffer_info(a.env, a.values[0], &data, &size));
  if (offset > size || length > size - offset) fail(a.env, "dropPages: the range is outside the buffer");
  drop_pages(static_cast<uint8_t*>(data) + offset, length);
  return nullptr;
}

}  // namespace fovea::js
