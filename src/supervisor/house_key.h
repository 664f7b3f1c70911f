// SPDX-License-Identifier: Apache-2.0
// The house's key: what sandboxd and the wardens of one house know each other by
// (sandbox/adoption.h). It lies beside the kill file, so that wardens can be adopted by a house
// that was started anew.
#pragma once

#include "base/result.h"
#include "net/descriptor.h"
#include "net/file.h"

namespace gatehouse::supervisor {

// In sealed memory, to be handed on; made if there is none. One that cannot be read is made anew:
// wardens that have the old one are not adopted, and end. One of before there was a version in the
// file is kept, and written as the present version. Errors: kUnsupported for one of a newer
// gatehouse.
[[nodiscard]] Result<net::Descriptor> house_key(net::FileSystem& files);

}  // namespace gatehouse::supervisor
