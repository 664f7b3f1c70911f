# SPDX-License-Identifier: Apache-2.0
# Warnings are errors; hardening is on in every build.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wthread-safety -Wdangling -Werror
  -Wno-missing-field-initializers -Wno-gnu-statement-expression
  -fstack-protector-strong -fcf-protection -ftrivial-auto-var-init=zero
  -fno-omit-frame-pointer)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
add_link_options(-fuse-ld=lld-19 -Wl,-z,relro,-z,now,--as-needed -pie)
include_directories(${CMAKE_SOURCE_DIR}/src)

set(GATEHOUSE_SANITIZE "" CACHE STRING "address, thread, fuzz or nothing")
if(GATEHOUSE_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(GATEHOUSE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(GATEHOUSE_SANITIZE STREQUAL "fuzz")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
else()
  add_compile_options(-fstack-clash-protection)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_definitions(_FORTIFY_SOURCE=3)
  endif()
endif()
