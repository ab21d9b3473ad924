# SPDX-License-Identifier: Apache-2.0
# The few functions that every CMakeLists.txt of the tree uses. No globbing, no options without a preset.
#   bp_library(NAME sources... [LIBS libs...])         a static library; includes are written "layer/file.h"
#   bp_program(NAME sources... [LIBS libs...])
#   bp_test(NAME sources... [LIBS libs...] [MCU])      a test program, run by scripts/steps/20-unit; MCU: also built for
#                                                      the emulated Cortex-M and run by scripts/steps/30-cortex-m
#   bp_fuzz(NAME sources... [LIBS libs...])            a libFuzzer target, and its corpus replay in ordinary builds

set(BP_MCU OFF)
if(CMAKE_SYSTEM_NAME STREQUAL "Generic")
  set(BP_MCU ON)
endif()
set(BP_FUZZ OFF CACHE BOOL "libFuzzer build (preset fuzz)")
set(BP_WERROR OFF CACHE BOOL "warnings are errors (presets)")

add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef -Wvla -Walloca -Wcast-align -Wcast-qual
  -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wswitch-enum -Wnull-dereference -Wdate-time
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wlogical-op -Wduplicated-cond -Wduplicated-branches)
endif()
if(BP_WERROR)
  add_compile_options(-Werror)
endif()

# Unused functions go, so that a reader links without the crypto that its file's verifier needs.
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)
if(NOT BP_MCU)
  add_compile_definitions(_GNU_SOURCE)
  add_compile_options(-fstack-protector-strong -fPIE)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fstack-clash-protection -ftrivial-auto-var-init=zero)
  endif()
  if(CMAKE_BUILD_TYPE MATCHES "Rel")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()

set_property(GLOBAL PROPERTY BP_TESTS "")
set_property(GLOBAL PROPERTY BP_FUZZERS "")

function(bp_library name)
  cmake_parse_arguments(A "" "" "LIBS" ${ARGN})
  add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${A_LIBS})
  if(BP_MCU)
    target_compile_options(${name} PRIVATE -Wstack-usage=512)
  endif()
endfunction()

# Makes a program one that the emulated mps2-an385 runs: reset code, memory map, output by semihosting.
function(bp_mcu_program name)
  target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/mcu/startup.c)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/cmake/mcu/startup.c TARGET_DIRECTORY ${name}
    PROPERTIES COMPILE_OPTIONS "-Wno-pedantic;-fno-builtin")
  target_link_options(${name} PRIVATE -nostartfiles --specs=nano.specs --specs=rdimon.specs
    -T${CMAKE_SOURCE_DIR}/cmake/mcu/an385.ld)
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/mcu/an385.ld)
endfunction()

function(bp_program name)
  cmake_parse_arguments(A "" "" "LIBS" ${ARGN})
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE ${A_LIBS})
endfunction()

function(bp_test name)
  cmake_parse_arguments(A "MCU" "" "LIBS" ${ARGN})
  if(BP_MCU AND NOT A_MCU)
    return()
  endif()
  if(BP_FUZZ)
    return()
  endif()
  bp_program(${name} ${A_UNPARSED_ARGUMENTS} LIBS ${A_LIBS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  if(BP_MCU)
    bp_mcu_program(${name})
  endif()
  set_property(GLOBAL APPEND PROPERTY BP_TESTS "$<TARGET_FILE:${name}>")
endfunction()

# The fuzz source defines LLVMFuzzerTestOneInput; its corpus is tests/fuzz/corpus/NAME.
function(bp_fuzz name)
  cmake_parse_arguments(A "" "" "LIBS" ${ARGN})
  if(BP_MCU)
    return()
  endif()
  if(BP_FUZZ)
    bp_program(fuzz_${name} ${A_UNPARSED_ARGUMENTS} LIBS ${A_LIBS})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    bp_program(fuzz_${name} ${A_UNPARSED_ARGUMENTS} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c LIBS ${A_LIBS})
  endif()
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
  set_property(GLOBAL APPEND PROPERTY BP_FUZZERS "${name} $<TARGET_FILE:fuzz_${name}> ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
endfunction()

# build/tests.list and build/fuzzers.list: what scripts run, one a line.
function(bp_write_lists)
  get_property(t GLOBAL PROPERTY BP_TESTS)
  get_property(f GLOBAL PROPERTY BP_FUZZERS)
  list(JOIN t "\n" t)
  list(JOIN f "\n" f)
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/tests.list CONTENT "${t}\n")
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/fuzzers.list CONTENT "${f}\n")
endfunction()
