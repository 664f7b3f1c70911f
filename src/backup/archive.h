// SPDX-License-Identifier: Apache-2.0
// A backup file, written once from front to back, and read whole before anything of it is used.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backup/manifest.h"
#include "net/descriptor.h"

namespace gatehouse::backup {

// SHA-256 of bytes that come in parts.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;
  void add(std::string_view bytes);
  [[nodiscard]] std::string sha256();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Until it is finished the file has ".partial" at its end; what is not finished is removed.
class Writer {
 public:
  // Mode 0600. Errors: kConflict when the file exists already.
  [[nodiscard]] static Result<std::unique_ptr<Writer>> create(const std::string& path);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Without contents: a directory or a link.
  [[nodiscard]] Result<void> add(Member member);
  // A file with these contents; `member.size` is theirs where it is less.
  [[nodiscard]] Result<void> add_bytes(Member member, std::string_view bytes);
  // A file as it can be read now, up to `member.size`; where it has become shorter, so is this.
  [[nodiscard]] Result<void> add_contents(Member member, int file);
  [[nodiscard]] bool has(std::string_view path) const;
  // Makes it durable under its name. Returns its size in bytes.
  [[nodiscard]] Result<std::uint64_t> finish(Manifest manifest);

 private:
  Writer(std::string path, net::Descriptor file) : path_(std::move(path)), file_(std::move(file)) {}
  [[nodiscard]] Result<void> write(std::string_view bytes);

  std::string path_;
  net::Descriptor file_;
  std::uint64_t at_ = 0;
  std::vector<Member> members_;
  bool is_finished_ = false;
};

// A backup that is whole: every byte of it was read and fits.
class Archive {
 public:
  // Errors: kNotFound, kCorrupt, kUnsupported for one of a newer gatehouse.
  [[nodiscard]] static Result<Archive> open(const std::string& path);
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  // Writes a file's contents. Errors: kCorrupt when the backup has changed since it was opened.
  [[nodiscard]] Result<void> copy(const Member& member, int to) const;

 private:
  Archive(net::Descriptor file, Manifest manifest)
      : file_(std::move(file)), manifest_(std::move(manifest)) {}
  net::Descriptor file_;
  Manifest manifest_;
};

}  // namespace gatehouse::backup
