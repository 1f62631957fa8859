# stepbench_add_variant(NAME
#   UNITS SOURCE...          translation units, absolute paths; .cpp by the C++ compiler, .cu by nvcc
#   REGISTRATION SOURCE...   the units that register their ops, and count calls
#   OUTPUT FILE              the library
#   LINK FILE...
#   SYSTEM_INCLUDES DIR...  DEFINES D...  OPTIONS O...   for all .cpp
#   INCLUDES DIR...  TREE_OPTIONS O...                   for all .cpp, of this tree only
#   [PRECOMPILE HEADER]      for all .cpp, made once in this build folder for all trees
#   [NVCC EXE]  [LAUNCHER EXE])
#
# Targets: NAME_units and NAME_registration compile, NAME links; NAME.objects lists the objects, one
# a line, those of .cpp units first. A source's own options are its property
# COMPILE_OPTIONS, or STEPBENCH_OPTIONS for .cu, which get nothing else.
#
# nvcc runs as a custom command: CMake's own CUDA language first links a test
# program, which needs parts of the toolkit that nvcc's packages on PyPI lack.
function(stepbench_add_variant name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT;PRECOMPILE;NVCC;LAUNCHER"
    "UNITS;REGISTRATION;INCLUDES;SYSTEM_INCLUDES;DEFINES;OPTIONS;TREE_OPTIONS;LINK")
  set(cxx_units ${arg_UNITS})
  list(FILTER cxx_units EXCLUDE REGEX "\\.cu$")
  set(cuda_units ${arg_UNITS})
  list(FILTER cuda_units INCLUDE REGEX "\\.cu$")

  if(arg_PRECOMPILE)
    stepbench_library(stepbench_precompiled OBJECT "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/precompiled.cpp")
    target_precompile_headers(stepbench_precompiled PRIVATE "${arg_PRECOMPILE}")
  endif()

  add_custom_target(${name}_units)
  set(objects)
  if(cxx_units)
    stepbench_library(${name}_cxx OBJECT ${cxx_units})
    add_dependencies(${name}_units ${name}_cxx)
    list(APPEND objects $<TARGET_OBJECTS:${name}_cxx>)
  endif()
  set(cuda_objects)
  foreach(unit IN LISTS cuda_units)
    stepbench_cuda_object(object "${name}" "${unit}")
    list(APPEND cuda_objects "${object}")
  endforeach()
  if(cuda_objects)
    add_custom_target(${name}_cuda DEPENDS ${cuda_objects})
    add_dependencies(${name}_units ${name}_cuda)
    set_source_files_properties(${cuda_objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    list(APPEND objects ${cuda_objects})
  endif()
  file(GENERATE OUTPUT "${name}.objects" CONTENT "$<JOIN:${objects},\n>\n")

  stepbench_library(${name}_registration OBJECT ${arg_REGISTRATION})
  add_library(${name} SHARED ${objects} $<TARGET_OBJECTS:${name}_registration>)
  cmake_path(GET arg_OUTPUT PARENT_PATH output_dir)
  cmake_path(GET arg_OUTPUT FILENAME output_name)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX "" OUTPUT_NAME "${output_name}"
    LIBRARY_OUTPUT_DIRECTORY "${output_dir}" NO_SONAME ON LINKER_LANGUAGE CXX)
  # exports.map keeps the units' functions from being taken for vLLM's stock
  # ones of the same name, or the other way round, without the changes to code
  # that -fvisibility would bring.
  set(exports "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/exports.map")
  target_link_options(${name} PRIVATE "-Wl,--version-script=${exports}" -Wl,--no-undefined -Wl,--as-needed)
  if(cuda_objects)
    # nvcc names a temporary file, with its process id, in the table of symbols.
    target_link_options(${name} PRIVATE -Wl,--strip-all)
  endif()
  target_link_libraries(${name} PRIVATE ${arg_LINK})
endfunction()

# A library with the variant's flags; the precompiled header where there is one. A macro
# would evaluate its arguments again: paths may hold ${.
function(stepbench_library target kind)
  add_library(${target} ${kind} ${ARGN})
  target_include_directories(${target} SYSTEM PRIVATE ${arg_SYSTEM_INCLUDES})
  target_compile_definitions(${target} PRIVATE ${arg_DEFINES})
  target_compile_options(${target} PRIVATE ${arg_OPTIONS})
  if(NOT "${target}" STREQUAL "stepbench_precompiled")
    target_include_directories(${target} BEFORE PRIVATE ${arg_INCLUDES})
    target_compile_options(${target} PRIVATE ${arg_TREE_OPTIONS})
    if(arg_PRECOMPILE)
      target_precompile_headers(${target} REUSE_FROM stepbench_precompiled)
    endif()
  endif()
endfunction()

function(stepbench_cuda_object out name unit)
  string(SHA256 place "${unit}")
  string(SUBSTRING "${place}" 0 8 place)
  cmake_path(GET unit STEM stem)
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/${name}_cuda/${place}")
  file(MAKE_DIRECTORY "${dir}")
  set(object "${dir}/${stem}.cu.o")
  get_source_file_property(options "${unit}" STEPBENCH_OPTIONS)
  add_custom_command(OUTPUT "${object}"
    COMMAND ${arg_LAUNCHER} "${arg_NVCC}" ${options} -MD -MF "${object}.d" -MT "${object}"
      -x cu -c "${unit}" -o "${object}"
    DEPENDS "${unit}" DEPFILE "${object}.d"
    COMMENT "Building CUDA object ${unit}" VERBATIM)
  set(${out} "${object}" PARENT_SCOPE)
endfunction()
