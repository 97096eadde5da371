// Compiled where the compiler knows the products of bfloat16, SUMTOONE_ISA being the name of the instructions.
#include "kernels.h"
#include "train_steps.h"

const sumtoone::Steps sumtoone::rounded_steps = {::SUMTOONE_ISA::train<sumtoone::Pair>,
                                                 ::SUMTOONE_ISA::mirror_all<sumtoone::Pair>};
