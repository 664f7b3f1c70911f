// SPDX-License-Identifier: Apache-2.0
// `gatehouse metrics`: what Prometheus would read.
#include "cli/http.h"
#include "cli/verbs.h"
#include "wire/json.h"

namespace gatehouse::cli {

Result<std::string> fetch_metrics(const std::string& data) {
  HttpRequest request;
  request.target = "/metrics";
  const HttpReply reply = TRY(http({data + "/run/metrics.sock", "", ""}, request));
  if (reply.status == 200) return reply.body;
  return failure(reply.status == 403 ? Error::kDenied : Error::kUnavailable,
                 "the gatehouse does not tell its metrics: only root and the owner of the data "
                 "directory may ask");
}

Result<int> print_metrics(const Options& options, const Wiring& wiring) {
  const std::string text = TRY(fetch_metrics(TRY(data_directory(options, wiring))));
  if (options.form == Form::kTable) {
    print(text);
    return 0;
  }
  // A sample is a line of its name with its labels, a space, and the number.
  wire::JsonWriter writer;
  writer.begin_object();
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const std::size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string_view::npos) continue;
    writer.key(line.substr(0, space)).raw(line.substr(space + 1));
  }
  writer.end_object();
  print(std::move(writer).text() + "\n");
  return 0;
}

}  // namespace gatehouse::cli
