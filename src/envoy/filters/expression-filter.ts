// SPDX-License-Identifier: Apache-2.0
// An access log's filter by an expression. The package that our Envoy types are made of lacks this one message:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/access_loggers/filters/cel/v3/cel.proto
import { create, createFileRegistry, type DescMessage } from '@bufbuild/protobuf';
import {
  type Any,
  anyPack,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';

const PACKAGE = 'envoy.extensions.access_loggers.filters.cel.v3';

/** `message ExpressionFilter { string expression = 1; }` */
export const ExpressionFilterSchema: DescMessage = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      {
        name: 'envoy/extensions/access_loggers/filters/cel/v3/cel.proto',
        package: PACKAGE,
        syntax: 'proto3',
        messageType: [
          {
            name: 'ExpressionFilter',
            field: [
              {
                name: 'expression',
                jsonName: 'expression',
                number: 1,
                type: FieldDescriptorProto_Type.STRING,
                label: FieldDescriptorProto_Label.OPTIONAL,
              },
            ],
          },
        ],
      },
    ],
  }),
).getMessage(`${PACKAGE}.ExpressionFilter`)!;

/** https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes */
export function expressionFilter(expression: string): Any {
  return anyPack(ExpressionFilterSchema, create(ExpressionFilterSchema, { expression } as Record<string, unknown>));
}
