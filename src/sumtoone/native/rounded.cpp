// Compiled where the compiler knows the products of bfloat16, SUMTOONE_ISA being the name of the instructions.
#include "kernels.h"
#include "train.h"

void sumtoone::train_rounded(const Training& training, const Chunk& chunk, int part, int parts,
                             const Meeting& meeting) {
  ::SUMTOONE_ISA::train<sumtoone::Pair>(training, chunk, part, parts, meeting);
}
