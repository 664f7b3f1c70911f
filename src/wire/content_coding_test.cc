// SPDX-License-Identifier: Apache-2.0
// The golden bodies were made by Node's zlib and by the zstd command.
#include "wire/content_coding.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <array>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

using enum ContentCoding;

std::string plain() {
  std::string out;
  for (int i = 0; i < 40; ++i) {
    out += "Gatehouse lets an organisation put agents to work without giving them its keys. ";
  }
  return out;
}

struct Golden {
  ContentCoding coding;
  std::string body;
};

std::vector<Golden> golden() {
  const auto bytes = [](std::string_view base64) { return from_base64(base64).value(); };
  return {
      {kIdentity, plain()},
      {kGzip, bytes("H4sIAAAAAAAAA+3MUQ2EQAwEUCujABvo6Eez23DXEjoLwf0pOAfzBLzd6LNWOz7OhiXqGpbRxqjEuQ"
                    "gbnmyw8NR14AnOWsSIO3KA078INg5/e8OuT58+ffr06dOnT58+fX++Hxf3fYmADAAA")},
      {kDeflate, bytes("eJztzFENhEAMBFArowAb6OhHs9tw1xI6C8H9KTgH8wS83eizVjs+zoYl6hqW0caoxLkIG55ssPD"
                       "UdeAJzlrEiDtygNO/CDYOf3vDrk+fPn369OnTp0+fPn1/vh/Cuqp1")},
      {kBrotli, bytes("G38MgBwJNk5yu8ZieE135Na2w9Lg6iRI2ZxTDtjbiqQooUQvSPeUlWwEE3i7QwBq4+FI0Q5AHJPy"
                      "YtLT0Q8evfoAgB4=")},
      {kZstd, bytes("KLUv/QRYRQIAAkUPFLAlbYBYSsR7y0ZY9nkqQgdnSiACDTJg0ryV8HjrDGDVGxy3U1LwFN/8uag3RQ"
                    "/tlHZUBXvUvIc6DQ6fhAEAUAsnP0QBThfnDw==")},
  };
}

TEST(ContentCoding, IsWhatTheFieldSays) {
  EXPECT_EQ(parse_content_coding("gzip").value(), kGzip);
  EXPECT_EQ(parse_content_coding(" GZip ").value(), kGzip);
  EXPECT_EQ(parse_content_coding("x-gzip").value(), kGzip);
  EXPECT_EQ(parse_content_coding("deflate").value(), kDeflate);
  EXPECT_EQ(parse_content_coding("br").value(), kBrotli);
  EXPECT_EQ(parse_content_coding("zstd").value(), kZstd);
  EXPECT_EQ(parse_content_coding("identity").value(), kIdentity);
  for (const std::string_view unknown : {"compress", "gzip, br", "gzip;q=1", "gzip,", "zst"}) {
    EXPECT_EQ(parse_content_coding(unknown).error(), Error::kUnsupported) << unknown;
  }
}

TEST(ContentCoding, OfAMessageIsThatOfAllItsFields) {
  Headers headers;
  EXPECT_EQ(content_coding_of(headers).value(), kIdentity);
  headers.add(HeaderName::parse("content-encoding").value(), "gzip");
  EXPECT_EQ(content_coding_of(headers).value(), kGzip);
  headers.add(HeaderName::parse("Content-Encoding").value(), "br");
  EXPECT_EQ(content_coding_of(headers).error(), Error::kUnsupported);
}

TEST(ContentDecoder, TakesOffEachCodingHoweverTheBodyComes) {
  for (const Golden& one : golden()) {
    for (const std::size_t piece : {one.body.size(), std::size_t{1}, std::size_t{7}}) {
      ContentDecoder decoder(one.coding);
      std::string out;
      for (std::size_t at = 0; at < one.body.size(); at += piece) {
        const auto fed = decoder.feed(one.body.substr(at, piece), out);
        ASSERT_TRUE(fed) << fed.error().message();
      }
      EXPECT_TRUE(decoder.finish());
      EXPECT_EQ(out, plain());
    }
  }
}

TEST(ContentDecoder, TakesSeveralMembersAndFrames) {
  for (const Golden& one : golden()) {
    if (one.coding != kGzip && one.coding != kZstd) continue;
    EXPECT_EQ(decoded_content(one.coding, one.body + one.body).value(), plain() + plain());
  }
}

TEST(ContentDecoder, RefusesABodyThatBreaksOffAnywhere) {
  for (const Golden& one : golden()) {
    if (one.coding == kIdentity) continue;
    for (std::size_t size = 0; size < one.body.size(); ++size) {
      EXPECT_EQ(decoded_content(one.coding, one.body.substr(0, size)).error(), Error::kInvalid)
          << size;
    }
  }
}

TEST(ContentDecoder, RefusesWhatIsNotInTheCoding) {
  for (const Golden& one : golden()) {
    if (one.coding == kIdentity) continue;
    EXPECT_EQ(decoded_content(one.coding, plain()).error(), Error::kInvalid);
    EXPECT_EQ(decoded_content(one.coding, one.body + "more").error(), Error::kInvalid);
    std::string damaged = one.body;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
    const auto out = decoded_content(one.coding, damaged);
    // Brotli and this zstd frame have no checksum: damage may come to other text, or to none.
    if (one.coding == kGzip || one.coding == kDeflate) EXPECT_FALSE(out);
    if (out) EXPECT_NE(*out, plain());
  }
  // What some servers send as "deflate" is not what the RFC calls so.
  EXPECT_FALSE(decoded_content(kDeflate, from_base64("y0jNyclXyACRAA==").value()));
}

TEST(ContentDecoder, HoldsNothingAgainstASmallBodyThatCompressesFar) {
  std::string zeros(200 * 1024, '\0');
  std::string packed(compressBound(zeros.size()), '\0');
  uLongf size = packed.size();
  ASSERT_EQ(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(zeros.data()), zeros.size()),
            Z_OK);
  packed.resize(size);
  ASSERT_GT(zeros.size() / packed.size(), 500U);
  EXPECT_EQ(decoded_content(kDeflate, packed).value(), zeros);
}

std::string zlib_bomb() {
  const std::string zeros(64 * 1024 * 1024, '\0');
  std::string packed(compressBound(zeros.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(zeros.data()), zeros.size());
  packed.resize(size);
  return packed;
}

std::string zstd_bomb() {
  const std::string zeros(64 * 1024 * 1024, '\0');
  std::string packed(ZSTD_compressBound(zeros.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), zeros.data(), zeros.size(), 3));
  return packed;
}

// 64 MiB of zeros each.
TEST(ContentDecoder, StopsABombBeforeItsMemoryIsSpent) {
  const std::string brotli =
      from_base64(
          "y///P/gnAOKxQCD3/o///3/wTwDEYRGA7v0f////4J8AiMMCAN37P/7//8E/ARCHBQC693/8//+DfwIg"
          "DgsAdO//+P//B/8EQBwWAOje//H//w/+CYA4LADQvf/L//8//BMAcVgAoHv/Bw==")
          .value();
  for (const auto& [coding, body] :
       std::vector<Golden>{{kDeflate, zlib_bomb()}, {kZstd, zstd_bomb()}, {kBrotli, brotli}}) {
    ContentDecoder decoder(coding);
    std::string out;
    EXPECT_EQ(decoder.feed(body, out).error(), Error::kTooLarge);
    EXPECT_LE(out.size(), 1024 * 1024U);
    EXPECT_FALSE(decoder.feed("", out));
    EXPECT_FALSE(decoder.finish());
  }
}

TEST(ContentDecoder, StopsAtTheMostThatItIsGiven) {
  for (const Golden& one : golden()) {
    const std::uint64_t size = plain().size();
    EXPECT_TRUE(decoded_content(one.coding, one.body, {.size_most = size}));
    EXPECT_EQ(decoded_content(one.coding, one.body, {.size_most = size - 1}).error(),
              Error::kTooLarge);
  }
}

TEST(ContentDecoder, RefusesZstdFramesOfBeforeTheStandard) {
  const std::string frame("\x27\xb5\x2f\xfd\x00\x28\xcf\x28\x42", 9);  // of zstd 0.7
  EXPECT_EQ(decoded_content(kZstd, frame).error(), Error::kInvalid);
  for (const Golden& one : golden()) {
    if (one.coding != kZstd) continue;
    const std::string skipped("\x5f\x2a\x4d\x18\x02\x00\x00\x00xx", 10);
    EXPECT_EQ(decoded_content(kZstd, skipped + one.body).value(), plain());
    EXPECT_EQ(decoded_content(kZstd, one.body + skipped).value(), plain());
    EXPECT_FALSE(decoded_content(kZstd, one.body + frame));
    // The library looks for one where today's header is broken, too.
    EXPECT_FALSE(decoded_content(kZstd, one.body.substr(0, 4) + frame));
    EXPECT_FALSE(decoded_content(kZstd, skipped.substr(0, 4) + frame));
  }
}

// RFC 9659: no window above 8 MiB, so that memory does not follow what a peer says.
TEST(ContentDecoder, RefusesAZstdWindowAboveEightMebibytes) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const std::string text = plain();
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  ASSERT_NE(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush), 1U);
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  packed.resize(out.pos);
  EXPECT_FALSE(decoded_content(kZstd, packed));
}

}  // namespace
}  // namespace gatehouse::wire
