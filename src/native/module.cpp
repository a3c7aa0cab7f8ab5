#include <nanobind/nanobind.h>

NB_MODULE(_native, module) { module.doc() = "The native core of Sangbo."; }
