# SPDX-License-Identifier: Apache-2.0
# Run by cpack over the staged tree, before it is packed.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
get_filename_component(here ${CMAKE_CURRENT_LIST_DIR} ABSOLUTE)
set(doc ${root}/usr/share/doc/${CPACK_PACKAGE_NAME})
file(COPY ${here}/../gatehouse.yaml DESTINATION ${root}/etc/gatehouse)
file(COPY ${here}/copyright ${here}/changelog DESTINATION ${doc})
file(REMOVE_RECURSE ${doc}/man) # a folder that holds no Markdown
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  set(time "@$ENV{SOURCE_DATE_EPOCH}")
else()
  set(time "now")
endif()
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
run(gzip -9nf ${doc}/changelog ${root}/usr/share/man/man1/gatehouse.1
  ${root}/usr/share/man/man5/gatehouse.yaml.5)
run(find ${root} -type d -exec chmod 0755 {} +)
run(find ${root} -exec touch --no-dereference --date ${time} {} +)
