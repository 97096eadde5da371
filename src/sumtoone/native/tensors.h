// PyTorch's tensors as DLPack's C exchange describes them: address, type, shape and strides for 30 nanoseconds each,
// and nothing of PyTorch to compile against.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>

namespace sumtoone {

class Tensors {
 public:
  using View = nanobind::dlpack::dltensor;
  using Dtype = nanobind::dlpack::dtype;

  static constexpr Dtype kFloat32{(uint8_t)nanobind::dlpack::dtype_code::Float, 32, 1};
  static constexpr Dtype kUint8{(uint8_t)nanobind::dlpack::dtype_code::UInt, 8, 1};

  // For these two types and nothing derived from them; `capsule` is their `__dlpack_c_exchange_api__`.
  Tensors(nanobind::handle tensor, nanobind::handle parameter, nanobind::handle capsule)
      : tensor_((PyTypeObject*)tensor.ptr()), parameter_((PyTypeObject*)parameter.ptr()) {
    const auto* exchange = (const Exchange*)PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
    if (!exchange) throw nanobind::python_error();
    if (exchange->major == 1) read_ = exchange->dltensor_from_py_object_no_sync;
  }

  // A view of a tensor in the processor's memory that lies there row by row, of this type and with an address.
  bool view(PyObject* object, Dtype dtype, View& view) const {
    return look(object, view) && view.dtype == dtype;
  }

  // The address of a float32 tensor of exactly this shape, else null.
  float* floats(PyObject* object, std::initializer_list<int64_t> shape) const {
    View found;
    if (!view(object, kFloat32, found) || found.ndim != (int32_t)shape.size()) return nullptr;
    const int64_t* given = found.shape;
    for (int64_t size : shape)
      if (*given++ != size) return nullptr;
    return address<float>(found);
  }

  // The same, the type and shape left to the caller.
  bool look(PyObject* object, View& view) const {
    if (!read_ || (Py_TYPE(object) != tensor_ && Py_TYPE(object) != parameter_)) return false;
    if (read_(object, &view) != 0) {
      PyErr_Clear();
      return false;
    }
    if (view.device.device_type != kProcessor) return false;
    int64_t stride = 1;
    for (int32_t axis = view.ndim; axis-- > 0; stride *= view.shape[axis])
      if (view.shape[axis] != 1 && view.strides[axis] != stride) return stride == 0;
    return stride == 0 || view.data;
  }

  template <class Number>
  static Number* address(const View& view) {
    return (Number*)((char*)view.data + view.byte_offset);
  }

 private:
  static constexpr int32_t kProcessor = 1;

  // The head of DLPack 1.3's DLPackExchangeAPI; what follows is not used.
  struct Exchange {
    uint32_t major, minor;
    const void* older;
    void *allocate, *from_object, *to_object;
    int (*dltensor_from_py_object_no_sync)(void* object, View* view);
  };

  PyTypeObject *tensor_, *parameter_;
  int (*read_)(void*, View*) = nullptr;
};

}  // namespace sumtoone
