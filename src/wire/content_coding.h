// SPDX-License-Identifier: Apache-2.0
// Content codings (RFC 9110 section 8.4.1; zstd: RFC 8878 with RFC 9659, br: RFC 7932) taken off,
// so that what is in a body can be looked at. Incremental and bounded: a body that grows too far,
// or too far for what was sent, ends with an error (a "zip bomb"). By zlib, libbrotli and libzstd.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/headers.h"

namespace gatehouse::wire {

enum class ContentCoding : std::uint8_t { kIdentity, kGzip, kDeflate, kBrotli, kZstd };

// Of a Content-Encoding field's value, in any case. Errors: kUnsupported for a coding that is not
// known, and for several on top of each other, which nobody sends in good faith.
[[nodiscard]] Result<ContentCoding> parse_content_coding(std::string_view field);

// Of a message's. Errors: the same; several fields are several codings.
[[nodiscard]] Result<ContentCoding> content_coding_of(const Headers& headers);

struct DecodingLimits {
  std::uint64_t size_most = 16 * 1024 * 1024;  // of what comes out, bytes
  std::uint64_t ratio_most = 200;              // of that to what went in ...
  std::uint64_t free_size = 256 * 1024;        // ... from here on: small bodies compress far
};

// One body. Immobile.
class ContentDecoder {
 public:
  explicit ContentDecoder(ContentCoding coding, DecodingLimits limits = {});
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;
  ~ContentDecoder();

  // Appends to `out` what is decoded. Any chunking of the input gives the same. "deflate" is the
  // zlib format, as the RFC has it; gzip may have several members, zstd several frames. Errors:
  // kInvalid for what is not in the coding, or goes on after its end; kTooLarge at a limit; and
  // then for ever.
  Result<void> feed(std::string_view input, std::string& out);
  // Errors: kInvalid when the body has ended before its coding has; those of feed().
  Result<void> finish();

 private:
  struct Codec;
  struct Zlib;
  struct Brotli;
  struct Zstd;
  struct Plain;
  static std::unique_ptr<Codec> codec_for(ContentCoding coding);
  Result<void> check(std::uint64_t more);

  std::unique_ptr<Codec> codec_;
  DecodingLimits limits_;
  std::uint64_t in_ = 0;
  std::uint64_t out_ = 0;
  bool failed_ = false;
};

// All of a body at once. Errors: those of ContentDecoder.
[[nodiscard]] Result<std::string> decoded_content(ContentCoding coding, std::string_view body,
                                                  DecodingLimits limits = {});

}  // namespace gatehouse::wire
