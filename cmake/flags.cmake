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

# Which way programs go, as they went when `make profile` let them (docs/benchmarks.md). What was
# changed since has none, until it is made anew.
set(GATEHOUSE_PROFILE "" CACHE STRING "make, use or nothing")
set(profile ${CMAKE_SOURCE_DIR}/cmake/release.profdata)
if(GATEHOUSE_PROFILE STREQUAL "make")
  # Counted in the file itself, mapped before a role is confined: later it can write none.
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/profiles)
  add_compile_options(-fprofile-generate "SHELL:-mllvm -runtime-counter-relocation"
    "SHELL:-mllvm -disable-vp"
    "SHELL:-Xclang -fprofile-instrument-path=${CMAKE_BINARY_DIR}/profiles/%p%c.profraw")
  add_link_options(-fprofile-generate)
elseif(GATEHOUSE_PROFILE STREQUAL "use")
  # The compiler does not say that it has read it: with another profile all is compiled anew.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${profile})
  file(SHA256 ${profile} profile_digest)
  add_compile_definitions(GATEHOUSE_PROFILE_DIGEST=${profile_digest})
  add_compile_options(-fprofile-use=${profile} -Wno-profile-instr-out-of-date
    -Wno-profile-instr-unprofiled -Wno-backend-plugin)
endif()
