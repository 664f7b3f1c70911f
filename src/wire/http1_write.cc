// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "wire/http1.h"

namespace gatehouse::wire {
namespace {

Failure broken(std::string& out, std::size_t size, std::string_view what) {
  out.resize(size);
  return failure(Error::kInvalid,
                 "a head is not written: its " + std::string(what) + " would break the message");
}

bool append_fields(std::string& out, const Headers& headers) {
  for (const Header header : headers) {
    if (!all_are(kValueChar, header.value)) return false;
    out.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  out.append("\r\n");
  return true;
}

std::string_view text(HttpVersion version) {
  return version == HttpVersion::k11 ? "HTTP/1.1" : "HTTP/1.0";
}

}  // namespace

Result<void> append_request_head(std::string& out, const RequestHead& head) {
  const std::size_t before = out.size();
  if (head.method.empty() || !all_are(kTokenChar, head.method))
    return broken(out, before, "method");
  if (head.target.empty() || !all_are(kTargetChar, head.target)) {
    return broken(out, before, "target");
  }
  out.append(head.method).append(" ").append(head.target).append(" ");
  out.append(text(head.version)).append("\r\n");
  if (!append_fields(out, head.headers)) return broken(out, before, "header value");
  return {};
}

Result<void> append_response_head(std::string& out, const ResponseHead& head) {
  const std::size_t before = out.size();
  if (head.status < 100 || head.status > 999) return broken(out, before, "status");
  if (!all_are(kValueChar, head.reason)) return broken(out, before, "reason");
  out.append(text(head.version)).append(" ").append(std::to_string(head.status)).append(" ");
  out.append(head.reason).append("\r\n");
  if (!append_fields(out, head.headers)) return broken(out, before, "header value");
  return {};
}

void append_chunk_header(std::string& out, std::size_t size) {
  char digits[16];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, size, 16).ptr).append("\r\n");
}

Result<void> append_last_chunk(std::string& out, const Headers& trailers) {
  const std::size_t before = out.size();
  out.append("0\r\n");
  if (!append_fields(out, trailers)) return broken(out, before, "trailer value");
  return {};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

}  // namespace gatehouse::wire
