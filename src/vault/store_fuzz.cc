// SPDX-License-Identifier: Apache-2.0
// The vault's files as a hostile disk gives them: a record that was not sealed by this vault, as
// the record that its name says, is refused, and one that is whole is opened as what was put. The
// first byte chooses: the bytes as a file under any name, the bytes as what takes a record's place,
// or one byte of a record changed.
#include <cstdlib>

#include "base/check.h"
#include "net/sim_file.h"
#include "vault/authority.h"
#include "vault/store.h"

namespace {

using namespace gatehouse;
using namespace gatehouse::vault;

constexpr std::string_view kValue = "the-value-of-the-record";
const RecordKey kKey("acme", "ada", "mail", ipc::CredentialKind::kStatic);

const Sealer& sealer() {
  static const Sealer made(Secret(std::string(32, 'k')));
  return made;
}

void write(net::FileSystem& files, const std::string& name, std::string_view bytes) {
  CHECK(net::replace_file(files, name, bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto record = parse_record_file(bytes)) {
    CHECK(record_file(*record) == bytes);
    (void)sealer().open(record->name, record->sealed);
  }
  (void)parse_authority(Secret(bytes));
  const auto files = net::make_sim_file_system(1);
  if (data[0] % 3 == 0) {
    write(*files, std::string(64, 'a') + ".sealed", bytes);
    CHECK(!Store::open(*files, sealer()));
    return 0;
  }
  auto store = Store::open(*files, sealer());
  CHECK(store && (*store)->put(kKey, Secret(kValue), 1));
  const std::string name = (*files->list(".")).front();
  const std::string whole = *net::read_file(*files, name, 4096);
  std::string other(bytes);
  if (data[0] % 3 == 2) {
    other = whole;
    other[(data[1] + std::size_t{256} * data[2]) % whole.size()] = static_cast<char>(data[3]);
  }
  write(*files, name, other);
  const auto given = (*store)->get(kKey);
  // The time of the last change alone is not sealed.
  if (given) CHECK(given->open(Purpose::kDerive) == kValue);
  if (other == whole) CHECK(given);
  (void)Store::open(*files, sealer());
  return 0;
}
