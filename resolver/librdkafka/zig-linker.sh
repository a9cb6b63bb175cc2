#!/usr/bin/env bash
# Compiles and links for an old glibc, or for musl, as package.sh has cargo do: `zig cc`, for glibc with the unwinder of the
# system in place of one of its own.
# See RATIONALE.md, "Why does the zig build take the system's libgcc?".
set -euo pipefail

# C that is not optimised zig would have check itself, by a runtime of its own that needs what an old musl lacks.
words=(-target "$ZIG_TARGET" -fno-sanitize=undefined)
# For musl zig links statically, unless it is told.
if [[ $ZIG_TARGET == *musl* ]]; then words+=(-dynamic); fi
for word in "$@"; do
    case $word in
    # cargo-zigbuild would make -lunwind of it, a copy in each file. The library that is linked with may need a newer glibc;
    # of that one, nothing comes into the file that is linked. A small system with musl has no libgcc_s.
    -lgcc_s) if [[ $ZIG_TARGET == *musl* ]]; then words+=(-lunwind); else words+=("$LIBGCC_S" -Wl,--allow-shlib-undefined); fi ;;
    # Rust links, which names all files by whole paths. zig compiles parts of the C library as it does so, and notes in what folder.
    -nodefaultlibs) words+=("$word") && cd / ;;
    # librdkafka's own shared object, which nobody needs, but which its build makes: its script names a function that is not
    # there, which GNU's linker passes over and LLVM's does not.
    -Wl,--version-script=librdkafka.lds) words+=("$word" -Wl,--undefined-version) ;;
    *) words+=("$word") ;;
    esac
done
exec cargo-zigbuild zig cc -- "${words[@]}"
