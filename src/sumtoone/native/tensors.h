// PyTorch's objects, looked at without PyTorch to compile against, in 50 nanoseconds each: tensors as DLPack's C exchange
// describes them, linear layers by the dictionaries that every nn.Module has.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <vector>

namespace sumtoone {

class Tensors {
 public:
  using View = nanobind::dlpack::dltensor;
  using Dtype = nanobind::dlpack::dtype;

  static constexpr Dtype kFloat32{(uint8_t)nanobind::dlpack::dtype_code::Float, 32, 1};
  static constexpr Dtype kUint8{(uint8_t)nanobind::dlpack::dtype_code::UInt, 8, 1};

  // For these types and nothing derived from them; `capsule` is the tensors' `__dlpack_c_exchange_api__`.
  Tensors(nanobind::type_object tensor, nanobind::type_object parameter, nanobind::type_object linear,
          nanobind::handle capsule)
      : tensor_(tensor), parameter_(parameter), linear_(linear) {
    const auto* exchange = (const Exchange*)PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
    if (!exchange) throw nanobind::python_error();
    if (exchange->major == 1) read_ = exchange->dltensor_from_py_object_no_sync;
    const char* const hooks[] = {"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"};
    for (const char* name : hooks) hooks_.push_back(nanobind::str(name));
  }

  // A tensor in the processor's memory that lies there row by row, and has an address if it has numbers.
  bool view(nanobind::handle object, View& view) const {
    if (!read_ || !(object.type().is(tensor_) || object.type().is(parameter_))) return false;
    if (read_(object.ptr(), &view) != 0) {
      PyErr_Clear();
      return false;
    }
    int64_t numbers = 1;
    bool in_line = view.device.device_type == kProcessor;
    for (int32_t axis = view.ndim; axis-- > 0; numbers *= view.shape[axis])
      in_line &= view.shape[axis] == 1 || view.strides[axis] == numbers;
    return numbers == 0 || (in_line && view.data);
  }

  template <class Number>
  static Number* address(const View& view) {
    return (Number*)((char*)view.data + view.byte_offset);
  }

  // The address of a float32 tensor of so many numbers along one axis, else null.
  const float* floats(nanobind::handle object, int64_t count) const {
    View found;
    const bool fits = view(object, found) && found.dtype == kFloat32 && found.ndim == 1 && found.shape[0] == count;
    return fits ? address<float>(found) : nullptr;
  }

  struct Layers {
    std::vector<int64_t> sizes;
    std::vector<const float*> addresses;
    std::vector<nanobind::object> parameters;  // held: another thread may give a layer new ones meanwhile
  };

  // Takes up the layers of a dictionary of modules, for `inputs` inputs; false unless calling each does nothing but
  // PyTorch's linear function.
  bool take(nanobind::dict modules, int64_t inputs, Layers& layers) const {
    layers.sizes.push_back(inputs);
    for (const auto& [name, layer] : modules) {
      if (!layer.type().is(linear_)) return false;
      const auto own = nanobind::steal<nanobind::dict>(PyObject_GenericGetDict(layer.ptr(), nullptr));
      if (!own.is_valid()) throw nanobind::python_error();
      for (const auto& hooks : hooks_) {
        const nanobind::handle found = at(own, hooks);
        if (!found || !PyDict_Check(found.ptr()) || PyDict_Size(found.ptr())) return false;
      }
      const nanobind::handle parameters = at(own, parameters_);
      if (at(own, forward_) || !parameters || !PyDict_Check(parameters.ptr())) return false;
      if (!take_parameters(at(parameters, weight_), at(parameters, bias_), layers)) return false;
    }
    return layers.sizes.size() > 1;
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

  static nanobind::handle at(nanobind::handle dict, nanobind::handle key) {
    const nanobind::handle found = PyDict_GetItemWithError(dict.ptr(), key.ptr());
    if (!found && PyErr_Occurred()) throw nanobind::python_error();
    return found;
  }

  bool take_parameters(nanobind::handle weight, nanobind::handle bias, Layers& layers) const {
    View found;
    if (!weight || !bias || !view(weight, found) || !(found.dtype == kFloat32) || found.ndim != 2) return false;
    if (found.shape[1] != layers.sizes.back() || found.shape[0] == 0 || found.shape[1] == 0) return false;
    layers.sizes.push_back(found.shape[0]);
    layers.addresses.push_back(address<float>(found));
    layers.addresses.push_back(floats(bias, found.shape[0]));
    layers.parameters.push_back(nanobind::borrow(weight));
    layers.parameters.push_back(nanobind::borrow(bias));
    return layers.addresses.back();
  }

  nanobind::object tensor_, parameter_, linear_;
  int (*read_)(void*, View*) = nullptr;
  std::vector<nanobind::str> hooks_;
  nanobind::str forward_{"forward"}, parameters_{"_parameters"}, weight_{"weight"}, bias_{"bias"};
};

}  // namespace sumtoone
