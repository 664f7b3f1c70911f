// SPDX-License-Identifier: Apache-2.0
#include "wire/content_coding.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kRoom = 32 * 1024;  // decoded at a time
constexpr std::size_t kMagicSize = 4;     // of a zstd frame
constexpr std::size_t kHeaderRest =
    14;                             // what may follow it of the frame's header (RFC 8878 3.1.1.1)
constexpr int kZstdWindowLog = 23;  // 8 MiB: the most that RFC 9659 lets a peer ask for

Failure malformed(std::string_view coding) {
  return failure(Error::kInvalid,
                 fmt::format("the body is not in the {} that its Content-Encoding says", coding));
}

// How far one step has come.
struct Step {
  std::size_t consumed = 0;
  std::size_t made = 0;
};

}  // namespace

// One step takes some of the input and makes some of the output; one that does neither needs more.
struct ContentDecoder::Codec {
  Codec() = default;
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  virtual ~Codec() = default;
  virtual Result<Step> step(std::string_view input, std::span<char> room) = 0;
  [[nodiscard]] virtual bool has_ended() const = 0;
};

struct ContentDecoder::Plain final : Codec {
  Result<Step> step(std::string_view input, std::span<char> room) override {
    const std::size_t size = std::min(input.size(), room.size());
    std::ranges::copy(input.substr(0, size), room.begin());
    return Step{size, size};
  }
  [[nodiscard]] bool has_ended() const override { return true; }
};

struct ContentDecoder::Zlib final : Codec {
  explicit Zlib(bool gzip) : is_gzip(gzip) {
    // 15: the whole window; 16 more: gzip's frame, no other.
    CHECK(inflateInit2(&stream, gzip ? 15 + 16 : 15) == Z_OK);
  }
  ~Zlib() override { inflateEnd(&stream); }

  Result<Step> step(std::string_view input, std::span<char> room) override {
    if (ended && !input.empty()) {
      // Another member of a gzip file (RFC 1952 section 2.2).
      if (!is_gzip || inflateReset(&stream) != Z_OK) return malformed(name());
      ended = false;
    }
    if (ended) return Step{};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(room.data());
    stream.avail_out = static_cast<uInt>(room.size());
    const int done = inflate(&stream, Z_NO_FLUSH);
    if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR) return malformed(name());
    ended = done == Z_STREAM_END;
    return Step{input.size() - stream.avail_in, room.size() - stream.avail_out};
  }
  [[nodiscard]] bool has_ended() const override { return ended; }
  [[nodiscard]] std::string_view name() const { return is_gzip ? "gzip" : "deflate"; }

  z_stream stream{};
  bool is_gzip;
  bool ended = false;
};

struct ContentDecoder::Brotli final : Codec {
  Brotli() : state(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    CHECK(state != nullptr);
  }
  ~Brotli() override { BrotliDecoderDestroyInstance(state); }

  Result<Step> step(std::string_view input, std::span<char> room) override {
    if (has_ended()) return input.empty() ? Result<Step>() : malformed("br");
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(input.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(room.data());
    std::size_t in = input.size();
    std::size_t out = room.size();
    if (BrotliDecoderDecompressStream(state, &in, &next_in, &out, &next_out, nullptr)
        == BROTLI_DECODER_RESULT_ERROR) {
      return malformed("br");
    }
    return Step{input.size() - in, room.size() - out};
  }
  [[nodiscard]] bool has_ended() const override { return BrotliDecoderIsFinished(state) != 0; }

  BrotliDecoderState* state;
};

struct ContentDecoder::Zstd final : Codec {
  Zstd() : stream(ZSTD_createDStream()) {
    CHECK(stream != nullptr);
    CHECK(ZSTD_isError(ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, kZstdWindowLog)) == 0);
  }
  ~Zstd() override { ZSTD_freeDStream(stream); }

  Result<Step> step(std::string_view input, std::span<char> room) override {
    if (!between_frames) {
      // Byte by byte: where the header ends or breaks, the library looks at this call's input as if
      // a frame began there, in the formats of before the standard too.
      const bool in_header = header_left > 0 && !input.empty();
      if (in_header) --header_left;
      return decoded(in_header ? input.substr(0, 1) : input, room);
    }
    const std::string_view taken = input.substr(0, kMagicSize - magic.size());
    magic += taken;
    if (magic.size() < kMagicSize) return Step{taken.size(), 0};
    // The library knows frames of before the standard too, which is code that nobody looks after.
    const bool is_skipped = magic.substr(1) == "\x2a\x4d\x18" && (magic[0] & 0xf0) == 0x50;
    if (magic != "\x28\xb5\x2f\xfd" && !is_skipped) return malformed("zstd");
    between_frames = false;
    header_left = kHeaderRest;
    const Step step = TRY(decoded(std::exchange(magic, ""), room));
    return Step{taken.size(), step.made};
  }
  Result<Step> decoded(std::string_view input, std::span<char> room) {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    const std::size_t hint = ZSTD_decompressStream(stream, &out, &in);
    if (ZSTD_isError(hint) != 0) return malformed("zstd");
    between_frames = hint == 0;
    has_frame = has_frame || between_frames;
    return Step{in.pos, out.pos};
  }
  [[nodiscard]] bool has_ended() const override {
    return has_frame && between_frames && magic.empty();
  }

  ZSTD_DStream* stream;
  std::string magic;            // of the frame that begins
  std::size_t header_left = 0;  // bytes that may be its header's
  bool has_frame = false;
  bool between_frames = true;
};

Result<ContentCoding> parse_content_coding(std::string_view field) {
  const std::string_view coding = trimmed(field);
  for (const auto& [name, known] :
       std::initializer_list<std::pair<std::string_view, ContentCoding>>{
           {"identity", ContentCoding::kIdentity},
           {"", ContentCoding::kIdentity},
           {"gzip", ContentCoding::kGzip},
           {"x-gzip", ContentCoding::kGzip},
           {"deflate", ContentCoding::kDeflate},
           {"br", ContentCoding::kBrotli},
           {"zstd", ContentCoding::kZstd}}) {
    if (equal_ignoring_case(coding, name)) return known;
  }
  return failure(Error::kUnsupported,
                 fmt::format("a body in the content coding '{}' cannot be looked into; send it "
                             "plain, or in gzip, deflate, br or zstd",
                             coding.substr(0, 64)));
}

Result<ContentCoding> content_coding_of(const Headers& headers) {
  std::string all;
  for (const Header header : headers) {
    if (!equal_ignoring_case(header.name, "content-encoding")) continue;
    if (!all.empty()) all += ", ";
    all += header.value;
  }
  return parse_content_coding(all);
}

std::unique_ptr<ContentDecoder::Codec> ContentDecoder::codec_for(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kIdentity:
      break;
    case ContentCoding::kGzip:
      return std::make_unique<Zlib>(true);
    case ContentCoding::kDeflate:
      return std::make_unique<Zlib>(false);
    case ContentCoding::kBrotli:
      return std::make_unique<Brotli>();
    case ContentCoding::kZstd:
      return std::make_unique<Zstd>();
  }
  return std::make_unique<Plain>();
}

ContentDecoder::ContentDecoder(ContentCoding coding, DecodingLimits limits)
    : codec_(codec_for(coding)), limits_(limits) {}
ContentDecoder::~ContentDecoder() = default;

// What was made counts against what was taken so far, so that a limit is met at the same byte
// however the input comes.
Result<void> ContentDecoder::check(std::uint64_t more) {
  out_ += more;
  if (out_ > limits_.size_most) {
    return failure(Error::kTooLarge,
                   fmt::format("the body is more than {} bytes when decoded", limits_.size_most));
  }
  if (out_ > limits_.free_size && out_ / limits_.ratio_most > in_) {
    return failure(Error::kTooLarge,
                   fmt::format("the body decodes to more than {} times its size: it looks like a "
                               "decompression bomb",
                               limits_.ratio_most));
  }
  return {};
}

Result<void> ContentDecoder::feed(std::string_view input, std::string& out) {
  if (failed_) return failure(Error::kInvalid, "the body could not be decoded");
  std::array<char, kRoom> room;
  while (true) {
    const Result<Step> step = codec_->step(input, room);
    failed_ = !step;
    if (!step) return Failure(step.error());
    input.remove_prefix(step->consumed);
    in_ += step->consumed;
    const Result<void> checked = check(step->made);
    failed_ = !checked;
    if (!checked) return checked;
    out.append(room.data(), step->made);
    // What fits was all there was to make.
    if (input.empty() && step->made < room.size()) return {};
    if (step->consumed == 0 && step->made == 0) return {};
  }
}

Result<void> ContentDecoder::finish() {
  if (failed_) return failure(Error::kInvalid, "the body could not be decoded");
  if (codec_->has_ended()) return {};
  failed_ = true;
  return failure(Error::kInvalid, "the body broke off before its content coding's end");
}

Result<std::string> decoded_content(ContentCoding coding, std::string_view body,
                                    DecodingLimits limits) {
  ContentDecoder decoder(coding, limits);
  std::string out;
  TRY(decoder.feed(body, out));
  TRY(decoder.finish());
  return out;
}

}  // namespace gatehouse::wire
