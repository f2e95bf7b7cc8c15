// SPDX-License-Identifier: Apache-2.0
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RouteMatchSchema,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { NamedMatch, RequestMatch, TextMatch } from '../intent/route-types.ts';
import { type Init, stringMatcher } from './messages.ts';

export function buildMatch(match: RequestMatch): Init<typeof RouteMatchSchema> {
  return {
    pathSpecifier: pathSpecifier(match.path),
    ...(match.ignoreCase && { caseSensitive: false }),
    headers: match.headers.map(headerMatcher),
    queryParameters: match.query.map(queryMatcher),
  };
}

function pathSpecifier(path: TextMatch): MessageInitShape<typeof RouteMatchSchema>['pathSpecifier'] {
  switch (path.kind) {
    case 'exact':
      return { case: 'path', value: path.value };
    case 'prefix':
      return { case: 'prefix', value: path.value };
    case 'regex':
      return { case: 'safeRegex', value: { regex: path.value } };
  }
}

function headerMatcher(match: NamedMatch): MessageInitShape<typeof HeaderMatcherSchema> {
  const { name, condition, invert } = match;
  if (condition.kind === 'present') {
    return { name, invertMatch: invert, headerMatchSpecifier: { case: 'presentMatch', value: true } };
  }
  return {
    name,
    invertMatch: invert,
    // A header that is not there is without the value too; Envoy would say that neither matches.
    treatMissingHeaderAsEmpty: invert,
    headerMatchSpecifier: { case: 'stringMatch', value: stringMatcher(condition) },
  };
}

function queryMatcher(match: NamedMatch): MessageInitShape<typeof QueryParameterMatcherSchema> {
  const { name, condition } = match;
  return condition.kind === 'present'
    ? { name, queryParameterMatchSpecifier: { case: 'presentMatch', value: true } }
    : { name, queryParameterMatchSpecifier: { case: 'stringMatch', value: stringMatcher(condition) } };
}
