// SPDX-License-Identifier: Apache-2.0
// Hostile bodies in each coding: bounded, and the same however they come.
#include "wire/content_coding.h"

#include <array>

#include "base/check.h"
#include "base/encoding.h"

namespace {

using namespace gatehouse;
using namespace gatehouse::wire;

constexpr DecodingLimits kLimits{.size_most = 256 * 1024, .ratio_most = 100, .free_size = 4096};

struct Out {
  std::string bytes;
  bool failed = false;
  bool is_too_large = false;
};

Out decoded(ContentCoding coding, std::string_view body, std::size_t piece) {
  ContentDecoder decoder(coding, kLimits);
  Out out;
  for (std::size_t at = 0; at < body.size() && !out.failed; at += piece) {
    const auto fed = decoder.feed(body.substr(at, piece), out.bytes);
    out.failed = !fed;
    out.is_too_large = !fed && fed.error() == Error::kTooLarge;
  }
  if (!out.failed) out.failed = !decoder.finish();
  CHECK(out.bytes.size() <= kLimits.size_most);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body = text_of({data, size});
  (void)parse_content_coding(body);
  for (const auto coding : {ContentCoding::kIdentity, ContentCoding::kGzip, ContentCoding::kDeflate,
                            ContentCoding::kBrotli, ContentCoding::kZstd}) {
    const Out whole = decoded(coding, body, body.size() + 1);
    const Out split = decoded(coding, body, 1 + size % 3);
    // The ratio is met about there, not at the byte: decoders read ahead.
    if (whole.is_too_large || split.is_too_large) continue;
    CHECK(whole.failed == split.failed);
    CHECK(whole.failed || whole.bytes == split.bytes);
  }
  return 0;
}
