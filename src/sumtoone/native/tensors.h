// PyTorch's objects, looked at without PyTorch to compile against, in 50 nanoseconds each: tensors as DLPack's C exchange
// describes them, linear layers by the dictionaries that every nn.Module has.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sumtoone {

class Tensors {
 public:
  using View = nanobind::dlpack::dltensor;
  using Dtype = nanobind::dlpack::dtype;

  static constexpr Dtype kFloat32{(uint8_t)nanobind::dlpack::dtype_code::Float, 32, 1};
  static constexpr Dtype kUint8{(uint8_t)nanobind::dlpack::dtype_code::UInt, 8, 1};

  // For these types and nothing derived from them; `capsule` is the tensors' `__dlpack_c_exchange_api__`, `hooks` the
  // names of the dictionaries that a module keeps its hooks in.
  Tensors(nanobind::type_object tensor, nanobind::type_object parameter, nanobind::type_object linear,
          nanobind::type_object list, nanobind::handle capsule, const std::vector<std::string>& hooks)
      : tensor_(tensor), parameter_(parameter), linear_(linear), list_(list) {
    const auto* exchange = (const Exchange*)PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
    if (!exchange) throw nanobind::python_error();
    if (exchange->major == 1) read_ = exchange->dltensor_from_py_object_no_sync;
    for (const std::string& name : hooks) hooks_.push_back(interned(name.c_str()));
    is_neg_ = tensor.attr("is_neg"), storage_ = tensor.attr("untyped_storage");
  }

  // A tensor in the processor's memory that lies there row by row, and has an address if it has numbers.
  bool view(nanobind::handle object, View& view) const {
    if (!read_ || !is_tensor(object)) return false;
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
    std::vector<nanobind::object> memory;      // held where other threads run: they may give a tensor other memory

    void reserve(size_t count) {
      sizes.reserve(count + 1), addresses.reserve(2 * count), parameters.reserve(2 * count);
    }
  };

  // Takes up the parameters of a network's layers; false unless calling it calls its class's forward, and each of `layers`
  // in turn does nothing but PyTorch's linear function.
  bool take(nanobind::handle network, Layers& layers) const {
    const auto own = dict_of(network);
    const nanobind::handle list = at(at(own, modules_), layers_);
    if (!as_written(own) || at(own, layers_) || !list || !list.type().is(list_)) return false;
    const auto lists = dict_of(list);
    const nanobind::handle modules = at(lists, modules_);
    if (!modules || !PyDict_CheckExact(modules.ptr())) return false;  // a derived one may have an order of its own
    layers.reserve((size_t)PyDict_Size(modules.ptr()));
    for (const auto& [name, layer] : nanobind::borrow<nanobind::dict>(modules)) {
      if (!layer.type().is(linear_)) return false;
      const auto its = dict_of(layer);
      if (!as_written(its) || at(its, weight_) || at(its, bias_)) return false;
      for (const auto& key : {weight_, bias_}) {
        const nanobind::handle found = at(at(its, parameters_), key);
        if (!found || !is_tensor(found)) return false;
        layers.parameters.push_back(nanobind::borrow(found));
      }
    }
    // Last, for other threads may run while PyTorch answers.
    for (const auto& parameter : layers.parameters)
      if (nanobind::cast<bool>(is_neg_(parameter))) return false;
    return !layers.parameters.empty();
  }

  // Reads sizes and addresses of what was taken; false where they do not fit each other and so many inputs.
  bool measure(int64_t inputs, Layers& layers) const {
    layers.sizes.assign(1, inputs), layers.addresses.clear();
    for (size_t place = 0; place < layers.parameters.size(); place += 2) {
      View weight;
      if (!view(layers.parameters[place], weight) || !(weight.dtype == kFloat32) || weight.ndim != 2) return false;
      const int64_t count = weight.shape[0];
      if (weight.shape[1] != layers.sizes.back() || count == 0 || weight.shape[1] == 0) return false;
      const float* bias = floats(layers.parameters[place + 1], count);
      if (!bias) return false;
      layers.sizes.push_back(count);
      layers.addresses.push_back(address<float>(weight)), layers.addresses.push_back(bias);
    }
    return true;
  }

  // Holds what owns a tensor's memory: it stays, whatever other memory the tensor is given.
  void keep_memory(Layers& layers, nanobind::handle tensor) const { layers.memory.push_back(storage_(tensor)); }

 private:
  static constexpr int32_t kProcessor = 1;

  // The head of DLPack 1.3's DLPackExchangeAPI; what follows is not used.
  struct Exchange {
    uint32_t major, minor;
    const void* older;
    void *allocate, *from_object, *to_object;
    int (*dltensor_from_py_object_no_sync)(void* object, View* view);
  };

  bool is_tensor(nanobind::handle object) const {
    return object.type().is(tensor_) || object.type().is(parameter_);
  }

  static nanobind::object interned(const char* name) {
    return nanobind::steal(PyUnicode_InternFromString(name));
  }

  static nanobind::dict dict_of(nanobind::handle object) {
    PyObject* own = PyObject_GenericGetDict(object.ptr(), nullptr);
    if (!own) throw nanobind::python_error();
    return nanobind::steal<nanobind::dict>(own);
  }

  // What a dictionary holds under this name; null where it holds nothing, or is none.
  static nanobind::handle at(nanobind::handle dict, nanobind::handle key) {
    if (!dict || !PyDict_Check(dict.ptr())) return {};
    const nanobind::handle found = PyDict_GetItemWithError(dict.ptr(), key.ptr());
    if (!found && PyErr_Occurred()) throw nanobind::python_error();
    return found;
  }

  // No hooks, and no function of its own to be called in place of its class's.
  bool as_written(nanobind::handle own) const {
    for (const auto& name : hooks_) {
      const nanobind::handle found = at(own, name);
      if (!found || !PyDict_Check(found.ptr()) || PyDict_Size(found.ptr())) return false;
    }
    return !at(own, forward_) && !at(own, compiled_);
  }

  nanobind::object tensor_, parameter_, linear_, list_, is_neg_, storage_;
  int (*read_)(void*, View*) = nullptr;
  std::vector<nanobind::object> hooks_;
  nanobind::object forward_ = interned("forward"), compiled_ = interned("_compiled_call_impl"),
                   modules_ = interned("_modules"), layers_ = interned("layers"),
                   parameters_ = interned("_parameters"), weight_ = interned("weight"), bias_ = interned("bias");
};

}  // namespace sumtoone
