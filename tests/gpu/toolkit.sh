#!/bin/sh
# Prints the folder of a CUDA toolkit that has what the build needs: headers, cudart and cublasLt,
# for CUDA_PATH. Where nvcc comes without a library that is elsewhere on the machine (in a Python
# package, say), a folder of links to the parts is made.
#
#     toolkit.sh FOLDER_FOR_LINKS
set -eu
links=$1

nvcc=$(command -v nvcc || true)
for root in "${CUDA_PATH:-}" "${CUDA_HOME:-}" /usr/local/cuda; do
    if [ -z "$nvcc" ] && [ -n "$root" ] && [ -x "$root/bin/nvcc" ]; then
        nvcc=$root/bin/nvcc
    fi
done
if [ -z "$nvcc" ]; then
    echo "no nvcc: put it on PATH, or set CUDA_PATH" >&2
    exit 1
fi
root=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
root=${CUDA_PATH:-$root}

has_all() {
    [ -e "$1/lib64/libcudart.so" ] && [ -e "$1/lib64/libcublasLt.so" ] &&
        [ -e "$1/include/cuda_runtime_api.h" ] && [ -e "$1/include/cublasLt.h" ]
}
if has_all "$root"; then
    echo "$root"
    exit 0
fi

# Folders that may hold the rest: of the toolkit, of the linker, of Python's packages.
python_packages=$(python3 - 2>/dev/null <<'END' || true
import glob, site, sys
for base in site.getsitepackages() + sys.path:
    for folder in glob.glob(base + "/nvidia/*"):
        print(folder)
END
)
lib_folders="$root/lib64 $root/lib $root/targets/x86_64-linux/lib"
include_folders="$root/include $root/targets/x86_64-linux/include"
for package in $python_packages; do
    lib_folders="$lib_folders $package/lib"
    include_folders="$include_folders $package/include"
done
for name in libcudart libcublasLt; do
    found=$(ldconfig -p 2>/dev/null | awk -v name="$name.so" 'index($1, name) == 1 { print $NF; exit }')
    if [ -n "$found" ]; then
        lib_folders="$lib_folders $(dirname "$found")"
    fi
done

rm -rf "$links"
mkdir -p "$links/include" "$links/lib64"
for folder in $include_folders; do
    for file in "$folder"/*; do
        name=$(basename "$file")
        if [ -e "$file" ] && [ ! -e "$links/include/$name" ]; then
            ln -s "$file" "$links/include/$name"
        fi
    done
done
for folder in $lib_folders; do
    for name in libcudart libcublasLt libcublas; do
        for file in "$folder/$name".so*; do
            [ -e "$file" ] || continue
            short=$(basename "$file")
            [ -e "$links/lib64/$short" ] || ln -s "$file" "$links/lib64/$short"
            [ -e "$links/lib64/$name.so" ] || ln -s "$file" "$links/lib64/$name.so"
        done
    done
done
if ! has_all "$links"; then
    echo "CUDA's cudart and cublasLt, with headers, are not all there (looked in: $lib_folders)" >&2
    exit 1
fi
(cd "$links" && pwd)
