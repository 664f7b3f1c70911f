// SPDX-License-Identifier: Apache-2.0
#include "wire/form.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

constexpr std::string_view kType = "multipart/form-data; boundary=b";

std::string part(std::string_view head, std::string_view value) {
  return "--b\r\n" + std::string(head) + "\r\n\r\n" + std::string(value) + "\r\n";
}
std::string field(std::string_view name, std::string_view value) {
  return part("Content-Disposition: form-data; name=\"" + std::string(name) + "\"", value);
}

TEST(Form, GivesItsFieldsAsTheyStandThere) {
  const std::string file("\x00\r\n--\r\n--c\r\nRIFF", 16);
  const std::string body =
      part(
          "content-disposition: form-data; name=\"file\"; filename=\"C:\\a %22b%22.wav\"\r\n"
          "Content-Type: audio/wav",
          file)
      + field("model", "whisper-1") + field("prompt", "") + "--b--\r\n";
  const auto fields = form_fields("Multipart/Form-Data; charset=utf-8; boundary=\"b\"", body);
  ASSERT_TRUE(fields) << fields.error().message();
  ASSERT_EQ(fields->size(), 3U);
  EXPECT_EQ((*fields)[0].name, "file");
  EXPECT_TRUE((*fields)[0].is_file);
  EXPECT_EQ((*fields)[0].value, file);
  EXPECT_EQ((*only_field(*fields, "model"))->value, "whisper-1");
  EXPECT_EQ((*only_field(*fields, "prompt"))->value, "");
  EXPECT_EQ(*only_field(*fields, "Model"), nullptr);
  EXPECT_EQ((*fields)[1].value.data() - body.data(),
            static_cast<std::ptrdiff_t>(body.find("whisper-1")));
}

TEST(Form, OfWhichTwoReadersCouldTakeAFieldDifferentlyIsRefused) {
  const std::string good = field("model", "m");
  for (const std::string& body :
       {std::string(),
        good,                                   // no end
        good + "--b",                           // nor this
        "preamble\r\n" + good + "--b--",        // before it
        good + "--b--\r\n" + good + "--b--",    // behind it
        "--b \r\n" + good.substr(5) + "--b--",  // padding
        "--b\n" + good.substr(5) + "--b--",     // a bare LF
        std::string("--b\r\n--b--"),            // a part without a head
        std::string("--b\r\n\r\n--b--"),        // nor this
        part("x: y", "m") + "--b--",            // nor a disposition
        part("Content-Disposition: form-data", "m") + "--b--",
        part("Content-Disposition: form-data; name=\"\"", "m") + "--b--",
        part("Content-Disposition: attachment; name=\"model\"", "m") + "--b--",
        part("Content-Disposition: form-data; name=\"mo\\del\"", "m") + "--b--",
        part("Content-Disposition: form-data; name*=utf-8''model", "m") + "--b--",
        part("Content-Disposition: form-data; name=\"a\"; name=\"model\"", "m") + "--b--",
        part("Content-Disposition: form-data; name=\"model", "m") + "--b--",
        part("Content-Disposition: form-data;\r\n name=\"model\"", "m") + "--b--",
        part("Content-Disposition: form-data; name=\"a\"\nx: \"", "m") + "--b--",
        part("Content-Disposition : form-data; name=\"a\"", "m") + "--b--",
        part("Content-Disposition: form-data; name=\"a\"\r\n"
             "Content-Disposition: form-data; name=\"model\"",
             "m")
            + "--b--",
        part("Content-Disposition: form-data; name=\"a\"\r\n"
             "Content-Transfer-Encoding: base64",
             "bQ==")
            + "--b--"}) {
    EXPECT_EQ(form_fields(kType, body).error(), Error::kInvalid) << body;
  }
  for (const char* type : {"multipart/form-data", "multipart/mixed; boundary=b", "",
                           "multipart/form-data; boundary=b; boundary=c",
                           "multipart/form-data; boundary=", "multipart/form-data; boundary=\"b",
                           "multipart/form-data boundary=b", "multipart/form-datax; boundary=b",
                           "multipart/form-data; boundary=\"b \""}) {
    EXPECT_EQ(form_fields(type, good + "--b--").error(), Error::kInvalid) << type;
  }
  EXPECT_FALSE(form_fields("multipart/form-data; boundary=" + std::string(71, 'b'),
                           "--" + std::string(71, 'b') + "--"));
}

TEST(Form, HasNoTwoFieldsAndNoFileWhereOneValueIsMeant) {
  const std::string twice = field("model", "a") + field("model", "b") + "--b--";
  const auto two = form_fields(kType, twice);
  ASSERT_TRUE(two);
  EXPECT_EQ(only_field(*two, "model").error(), Error::kInvalid);
  const std::string upload =
      part("Content-Disposition: form-data; name=model; filename=x", "m") + "--b--";
  const auto file = form_fields(kType, upload);
  ASSERT_TRUE(file);
  EXPECT_EQ(only_field(*file, "model").error(), Error::kInvalid);
}

TEST(Form, HasABoundedNumberOfFields) {
  std::string body;
  for (std::size_t i = 0; i < kFormFieldsMost; ++i) body += field("a", "");
  EXPECT_TRUE(form_fields(kType, body + "--b--"));
  EXPECT_EQ(form_fields(kType, body + field("a", "") + "--b--").error(), Error::kTooMany);
}

}  // namespace
}  // namespace gatehouse::wire
